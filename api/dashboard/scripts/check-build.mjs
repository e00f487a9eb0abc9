// Whether the committed build in api/static/ is what its source builds to: `npm run check-build`.
// Builds into a folder for temporary files and compares names and bytes.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const committed = join(root, "..", "static");

async function files(folder) {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name).slice(folder.length + 1));
  return new Map(await Promise.all(found.map(async (name) => [name, await readFile(join(folder, name))])));
}

const fresh = await mkdtemp(join(tmpdir(), "dashboard-"));
try {
  await build({ root, logLevel: "warn", build: { outDir: fresh, emptyOutDir: true } });
  const [built, kept] = [await files(fresh), await files(committed)];
  const wrong = [...new Set([...built.keys(), ...kept.keys()])].filter((name) => !built.has(name) || !kept.has(name) || !built.get(name).equals(kept.get(name)));
  if (wrong.length) {
    console.error(`api/static/ is not what api/dashboard/ builds to; run \`make dashboard\` and commit it. Differing: ${wrong.sort().join(", ")}`);
    process.exitCode = 1;
  } else console.log(`api/static/ is up to date: ${kept.size} files`);
} finally {
  await rm(fresh, { recursive: true });
}
