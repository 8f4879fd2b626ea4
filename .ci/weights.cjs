// weights.cjs PACKAGE OUT: the models that nsfwjs carries as scripts (each a module that exports the
// json, or a shard in base64) as OUT/NAME/model.json and its shards.
const fs = require("fs");
const path = require("path");
const [from, out] = process.argv.slice(2);

for (const name of ["mobilenet_v2", "inception_v3"]) {
  const models = path.resolve(from, "dist/models", name), to = path.join(out, name);
  fs.mkdirSync(to, { recursive: true });
  const model = require(path.join(models, "model.min.js"));
  for (const group of model.weightsManifest) {
    for (const shard of group.paths) {
      const text = require(path.join(models, path.basename(shard) + ".min.js"));
      fs.writeFileSync(path.join(to, path.basename(shard)), Buffer.from(text, "base64"));
    }
  }
  fs.writeFileSync(path.join(to, "model.json"), JSON.stringify(model));
}
