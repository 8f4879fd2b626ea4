# Each FOLDER/NAME.onnx: checked by onnx.checker and shape inference, then run by OpenCV's dnn on
# NAME.x.npy into NAME.y.npy. Prints "NAME ok", or NAME and what was wrong.
import glob, sys
import cv2, numpy, onnx

for path in sorted(glob.glob(sys.argv[1] + "/*.onnx")):
    base = path[:-5]
    name, said = base.split("/")[-1], "ok"
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as e:
        said = "check: " + " ".join(str(e).split())
    if said == "ok":
        try:
            net = cv2.dnn.readNetFromONNX(path)
            net.setInput(numpy.load(base + ".x.npy").astype(numpy.float32))
            numpy.save(base + ".y.npy", net.forward())
        except Exception as e:
            said = "opencv: " + " ".join(str(e).split())[-200:]
    print(name, said, flush=True)
print("done")
