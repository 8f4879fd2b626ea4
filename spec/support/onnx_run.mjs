// onnx_run.mjs RUNTIME FOLDER: each FOLDER/NAME.onnx by ONNX Runtime (the npm package
// onnxruntime-web in the folder RUNTIME) on NAME.x.npy, against NAME.want.npy: the largest difference
// as a part of the largest value. Fails above 1e-4.
import fs from "node:fs";
import { createRequire } from "node:module";

const [runtime, folder] = process.argv.slice(2);
const ort = createRequire(fs.realpathSync(runtime) + "/x")("onnxruntime-web");
ort.env.wasm.numThreads = 1;

function npy(file) {
  const b = fs.readFileSync(file), n = b.readUInt16LE(8), header = b.toString("latin1", 10, 10 + n);
  const shape = header.match(/shape': \(([^)]*)\)/)[1].split(",").filter((s) => s.trim()).map(Number);
  const data = b.buffer.slice(b.byteOffset + 10 + n, b.byteOffset + b.length);
  return header.includes("<i8") ? new ort.Tensor("int64", new BigInt64Array(data), shape)
    : new ort.Tensor("float32", new Float32Array(data), shape);
}

let passed = 0, failed = 0;
for (const file of fs.readdirSync(folder).filter((f) => f.endsWith(".onnx")).sort()) {
  const base = folder + "/" + file.slice(0, -5);
  let said;
  try {
    const session = await ort.InferenceSession.create(fs.readFileSync(base + ".onnx"), { logSeverityLevel: 3 });
    const got = (await session.run({ input: npy(base + ".x.npy") })).output.data;
    const want = npy(base + ".want.npy").data;
    let off = got.length === want.length ? 0 : Infinity, largest = 0;
    for (let i = 0; i < want.length; i++) {
      off = Math.max(off, Math.abs(got[i] - want[i]));
      largest = Math.max(largest, Math.abs(want[i]));
    }
    said = off <= 1e-4 * largest ? "" : "NOT ";
    said += (off / largest).toExponential(1);
    await session.release();
  } catch (e) {
    said = "NOT " + String(e).slice(0, 200);
  }
  said.startsWith("NOT") ? failed++ : passed++;
  console.log(file.slice(0, -5).padEnd(28), said);
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed || !passed ? 1 : 0);
