-- DICOM pictures and series, made by pydicom and by DCMTK's tools.
local al = require "albedo"
package.path = "./spec/?.lua;" .. package.path
local files = require "support.files"
local tmp, write, read, same, refuses = files.tmp, files.write, files.read, files.same, files.refuses

teardown(files.clear)

-- An element with explicit little-endian values.
local function put(v, n)
  local out = {}
  for k = 1, n do out[k], v = string.char(v % 256), math.floor(v / 256) end
  return table.concat(out)
end
local function element(group, number, kind, value)
  value = value .. (#value % 2 == 1 and " " or "")
  local long = kind == "OW" or kind == "OB" or kind == "SQ"
  return put(group, 2) .. put(number, 2) .. kind
    .. (long and "\0\0" .. put(#value, 4) or put(#value, 2)) .. value
end
local function made(rows, columns, pixels, more)
  return ("\0"):rep(128) .. "DICM" .. element(2, 16, "UI", "1.2.840.10008.1.2.1\0")
    .. (more or "") .. element(0x28, 0x10, "US", put(rows, 2))
    .. element(0x28, 0x11, "US", put(columns, 2)) .. element(0x28, 0x100, "US", put(16, 2))
    .. element(0x28, 0x101, "US", put(12, 2)) .. element(0x28, 0x103, "US", put(1, 2))
    .. element(0x7fe0, 0x10, "OW", pixels)
end

-- make(name, numbers, syntax, ...) a data set; save(name, it, numbers as read).
local MAKE = [=[
import sys, os, subprocess, numpy as n, pydicom as p
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import *
from pydicom.encaps import encapsulate
g = n.random.default_rng(1)
def make(name, a, syntax, colours=0, frames=1, planar=0, stored=None, signed=None, **more):
  m = FileMetaDataset()
  m.TransferSyntaxUID, m.MediaStorageSOPClassUID, m.MediaStorageSOPInstanceUID = syntax, SecondaryCaptureImageStorage, generate_uid()
  d = FileDataset(name, {}, file_meta=m, preamble=b'\0' * 128)
  d.is_little_endian, d.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
  d.SOPClassUID, d.SOPInstanceUID = m.MediaStorageSOPClassUID, m.MediaStorageSOPInstanceUID
  d.PatientName, d.SeriesInstanceUID = 'A^B', '1.2.3'
  s = p.Dataset(); s.ReferencedSOPInstanceUID = '1.2'; d.ReferencedImageSequence = p.Sequence([s, s])
  d.ReferencedImageSequence.is_undefined_length = True
  d.Rows, d.Columns = a.shape[-2:] if planar else a.shape[-3:-1] if colours else a.shape[-2:]
  d.SamplesPerPixel = 3 if colours else 1
  if colours: d.PlanarConfiguration = planar
  d.PhotometricInterpretation = 'RGB' if colours else 'MONOCHROME2'
  if frames > 1: d.NumberOfFrames = frames
  d.BitsAllocated = 8 * a.itemsize
  d.BitsStored = stored or d.BitsAllocated
  d.HighBit, d.PixelRepresentation = d.BitsStored - 1, int(a.dtype.kind == 'i')
  for k, v in more.items(): setattr(d, k, v)
  d.PixelData = a.astype(a.dtype.newbyteorder('<' if syntax.is_little_endian else '>')).tobytes()
  return d
def save(name, d, want):
  d.save_as(sys.argv[1] + name, write_like_original=False)
  wide = {'i1': 'i4', 'i2': 'i4', 'u2': 'i4', 'u4': 'i8'}.get(want.dtype.str[1:], want.dtype.str[1:])
  n.ascontiguousarray(want).astype('<' + wide).tofile(sys.argv[1] + name + '.raw')
  print(name)
]=]

describe("DICOM", function()
  it("is read: numbers of fewer bits, text, rescaled", function()
    local path = tmp ".dcm"
    write(path, made(1, 3, "\1\0\255\15\255\247", element(8, 0x103e, "LO", "Head ")))
    local x, about = al.io.dicom(path) -- 1; all twelve bits; four more above 0x7ff
    same(al.tensor({ { 1, -1, 2047 } }, { dtype = "int32" }), x)
    assert.equal("Head", about["0008,103e"])
    assert.equal(3, about.Columns)
    same(x, al.load(path))
    local scaled = made(1, 3, "\1\0\2\0\3\0", element(0x28, 0x1052, "DS", "-10")
      .. element(0x28, 0x1053, "DS", "0.5"))
    same(al.tensor { { -9.5, -9, -8.5 } }, (al.io.dicom(write(path, scaled))))
    same(al.tensor({ { 1, 2, 3 } }, { dtype = "int32" }), (al.io.dicom(path, { scale = false })))
  end)

  it("that is damaged or claims too much gives one error", function()
    local path, good = tmp ".dcm", made(2, 3, ("\1\2"):rep(6))
    files.mutate(good, ".dcm", al.io.dicom, 400)
    refuses(function() al.io.dicom(write(path, good), { max_bytes = 23 }) end, "max_bytes")
    refuses(function() al.io.dicom(write(path, made(3, 3, ("\1\2"):rep(6)))) end,
      "its pixels needs? 18 bytes")
    refuses(function() al.io.dicom(write(path, made(65535, 65535, "\1\2"))) end, "max_bytes")
    refuses(function() al.io.dicom(write(path, "none")) end, "no DICOM file")
    -- sequences within sequences, of no said length, to the end
    local deep = ("\8\0\64\17SQ\0\0\255\255\255\255\254\255\0\224\255\255\255\255"):rep(3000)
    refuses(function() al.io.dicom(write(path, made(2, 3, ("\1\2"):rep(6), deep))) end, "too deep")
  end)

  it("of pydicom is read in every form", function()
    local names, prefix = files.python("pydicom, numpy", MAKE .. [=[
kinds = dict(implicit=ImplicitVRLittleEndian, explicit=ExplicitVRLittleEndian, big=ExplicitVRBigEndian)
for form, syntax in kinds.items():
  for kind in 'u1 i1 u2 i2 u4 i4'.split():
    i = n.iinfo(kind)
    a = g.integers(i.min, i.max, (5, 8), kind, True)
    save(form + kind + '.dcm', make('x', a, syntax), a)
  a = g.integers(0, 255, (2, 5, 8, 3), 'u1', True)
  save(form + 'rgb.dcm', make('x', a, syntax, colours=1, frames=2), a.transpose(0, 3, 1, 2))
  b = a.transpose(0, 3, 1, 2).copy()
  save(form + 'planar.dcm', make('x', b, syntax, colours=1, frames=2, planar=1), b)
for kind in 'u1 u2 i2'.split():
  i = n.iinfo(kind)
  a = n.repeat(g.integers(i.min, i.max, (3, 9, 5), kind, True), 4, 2)
  d = make('x', a, ExplicitVRLittleEndian, frames=3)
  d.compress(RLELossless)
  save('rle' + kind + '.dcm', d, a)
a = n.repeat(g.integers(0, 255, (9, 5, 3), 'u1', True), 4, 1)
d = make('x', a, ExplicitVRLittleEndian, colours=1)
d.compress(RLELossless)
save('rlergb.dcm', d, a.transpose(2, 0, 1))
a = g.integers(-900, 900, (40, 30), 'i2', True)
save('deflated.dcm', make('x', a, DeflatedExplicitVRLittleEndian), a)
]=])
    if not names then return pending "python3-pydicom is not installed" end
    assert.equal(29, #names)
    for _, name in ipairs(names) do
      local x, about = al.io.dicom(prefix .. name)
      assert.is_true(x:bytes() == read(prefix .. name .. ".raw"), name)
      assert.equal("A^B", about.PatientName, name)
    end
    files.mutate(read(prefix .. "rlei2.dcm"), ".dcm", al.io.dicom, 100)
  end)

  it("series become volumes, by their places", function()
    local names, prefix = files.python("pydicom, numpy", [=[
import sys, numpy as n, pydicom as p
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import *
for k, z in enumerate([12.5, 5., 7.5, 10.]):
  for series in '12':
    m = FileMetaDataset()
    m.TransferSyntaxUID, m.MediaStorageSOPClassUID, m.MediaStorageSOPInstanceUID = ExplicitVRLittleEndian, CTImageStorage, '1.%d' % k
    d = FileDataset('x', {}, file_meta=m, preamble=b'\0' * 128)
    d.is_little_endian, d.is_implicit_VR = True, False
    d.SOPClassUID, d.SOPInstanceUID, d.SeriesInstanceUID = CTImageStorage, '1.%d' % k, '9.' + series
    d.Rows, d.Columns, d.SamplesPerPixel, d.PhotometricInterpretation = 2, 3, 1, 'MONOCHROME2'
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
    d.RescaleSlope, d.RescaleIntercept, d.PixelSpacing, d.InstanceNumber = 2, -1000, [0.5, 0.25], k
    d.ImagePositionPatient, d.ImageOrientationPatient = [1, 2, z], [1, 0, 0, 0, 1, 0]
    d.PixelData = (n.arange(6, dtype='<u2') + int(10 * z)).tobytes()
    name = '%d.%s.dcm' % (k, series)
    d.save_as(sys.argv[1] + name, write_like_original=False)
    print(name)
]=])
    if not names then return pending "python3-pydicom is not installed" end
    local list = {}
    for k, name in ipairs(names) do list[k] = prefix .. name end
    refuses(function() al.io.dicom(list) end, "holds 2 series, say series = one of 9.1, 9.2")
    local x, about = al.io.dicom(list, { series = "9.2" })
    local lines = al.arange(0, 5):reshape(1, 2, 3)
    local deep = al.tensor { 50, 75, 100, 125 }
    same(((lines + deep:reshape(4, 1, 1)) * 2 - 1000):to "float32", x)
    assert.same({ 2.5, 0.5, 0.25 }, about.spacing)
    assert.same({ { 0.25, 0, 0, 1 }, { 0, 0.5, 0, 2 }, { 0, 0, 2.5, 5 } }, about.affine)
    refuses(function() al.io.dicom(list, { series = "9.2", max_bytes = 95 }) end, "max_bytes")
  end)

  it("of DCMTK is read: JPEG and RLE", function()
    local function run(command)
      local ok = os.execute("(" .. command .. ") >/dev/null 2>&1")
      return ok == true or ok == 0
    end
    if not run "command -v img2dcm && command -v dcmcrle && command -v dcmdjpeg" then
      return pending "dcmtk is not installed"
    end
    local jpeg, path, plain, packed = tmp ".jpg", tmp ".dcm", tmp ".dcm", tmp ".dcm"
    al.seed(1)
    al.image.save(jpeg, al.image.resize(al.rand(3, 5, 6), { 50, 60 }))
    assert.is_true(run(("img2dcm %s %s"):format(jpeg, path)))
    local x = al.io.dicom(path)
    same(al.image.load(jpeg), x)
    assert.is_true(run(("dcmdjpeg %s %s && dcmcrle %s %s"):format(path, plain, plain, packed)))
    local y = al.io.dicom(plain)
    assert.is_true((y:to "int32" - x:to "int32"):abs():max():item() <= 4)
    same(y, (al.io.dicom(packed)))
    files.mutate(read(path), ".dcm", al.io.dicom, 100)
  end)

  it("of GDCM and DCMTK is read: JPEG 2000, lossless JPEG", function()
    local names, prefix = files.python("pydicom, numpy", MAKE .. [=[
tools = dict(j2k='gdcmconv --j2k', gjpg='gdcmconv --jpeg', sv1='dcmcjpeg +e1', el='dcmcjpeg +el')
def each(kind, a, **more):
  plain = sys.argv[1] + kind
  make('x', a, ExplicitVRLittleEndian, **more).save_as(plain, write_like_original=False)
  for tool, command in tools.items():
    name = '%s.%s.dcm' % (kind, tool)
    try: done = subprocess.run(command.split() + [plain, sys.argv[1] + name], capture_output=True).returncode == 0
    except FileNotFoundError: continue
    if not done: continue
    want = a.transpose(2, 0, 1) if more.get('colours') else a
    n.ascontiguousarray(want).astype('u1' if a.dtype.kind == 'u' and a.itemsize == 1 else '<i4').tofile(sys.argv[1] + name + '.raw')
    print(name)
  os.remove(plain)
y, x = n.mgrid[:40, :30]
for kind, stored in ('u1', 8), ('u2', 16), ('u2', 12), ('i2', 16), ('i2', 12):
  most, low = 2 ** stored - 1, 2 ** (stored - 1) if kind[0] == 'i' else 0
  a = (n.clip((x * y / 1131 + .05 * g.standard_normal(x.shape)) * most, 0, most) - low).astype(kind)
  each('%s-%d' % (kind, stored), a, stored=stored)
each('rgb', n.stack([x * 8, y * 6, g.integers(0, 255, x.shape)], 2).astype('u1'), colours=1)
]=])
    if not names or #names == 0 then return pending "python3-pydicom or GDCM and DCMTK are not installed" end
    if not al.version().plugins.jpegs then return pending "no OpenJPEG here" end
    local wrong = {}
    for _, name in ipairs(names) do
      local ok, x = pcall(al.io.dicom, prefix .. name)
      if not ok or x:bytes() ~= read(prefix .. name .. ".raw") then
        wrong[#wrong + 1] = name .. ": " .. (ok and tostring(x.dtype) .. " " .. table.concat(x.shape, "x") or x)
      end
    end
    assert.same({}, wrong)
    assert.is_true(#names >= 12, #names .. " pictures")
  end)
end)
