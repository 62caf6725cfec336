// The classes of which docker's GitHub actions are made, in the order in which the actions call them.
// node toolkit.mjs REPOSITORY CONTEXT: prints RESULTS and an object, for each step what went wrong.
import assert from 'assert';
import path from 'path';
import {Buildx} from '@docker/actions-toolkit/lib/buildx/buildx.js';
import {Builder} from '@docker/actions-toolkit/lib/buildx/builder.js';
import {Build} from '@docker/actions-toolkit/lib/buildx/build.js';
import {Bake} from '@docker/actions-toolkit/lib/buildx/bake.js';
import {History} from '@docker/actions-toolkit/lib/buildx/history.js';
import {ImageTools} from '@docker/actions-toolkit/lib/buildx/imagetools.js';
import {BuildKit} from '@docker/actions-toolkit/lib/buildkit/buildkit.js';
import {Docker} from '@docker/actions-toolkit/lib/docker/docker.js';
import {Exec} from '@docker/actions-toolkit/lib/exec.js';

const [repository, context] = process.argv.slice(2);
const tag = `${repository}:1`;
const results = {};
const step = async (name, work) => {
  try {
    await work();
    results[name] = '';
  } catch (error) {
    results[name] = String(error.message);
  }
};
const buildx = new Buildx();
const builder = new Builder({buildx});
const buildkit = new BuildKit({buildx});
const build = new Build({buildx});
const run = async words => {
  const command = await buildx.getCommand(words);
  const env = {...process.env, BUILDX_METADATA_WARNINGS: 'true'};
  const done = await Exec.getExecOutput(command.command, command.args, {ignoreReturnCode: true, silent: true, env});
  if (done.exitCode !== 0) throw new Error(done.stderr);
  return done.stdout.trim();
};

await step('Docker.isAvailable', async () => assert(await Docker.isAvailable()));
await step('Docker.context', async () => assert.equal(await Docker.context(), 'default'));
await step('Docker.contextInspect', async () => assert.equal((await Docker.contextInspect()).Name, 'default'));
await step('Buildx.isAvailable', async () => assert(await buildx.isAvailable()));
await step('Buildx.version', async () => assert.equal(await buildx.version(), '0.36.1'));
await step('Buildx.versionSatisfies', async () => assert(await buildx.versionSatisfies('>=0.31.0')));
await step('Builder.exists: absent', async () => assert(!(await builder.exists('N'))));
const flags = '--allow-insecure-entitlement security.insecure --allow-insecure-entitlement network.host';
await step('create', async () => {
  const words = ['create', '--name', 'N', '--driver', 'docker-container', '--buildkitd-flags', flags, '--use'];
  assert.equal(await run(words), 'N');
});
await step('Builder.exists', async () => assert(await builder.exists('N')));
await step('Builder.inspect', async () => {
  const found = await builder.inspect('N');
  assert.equal(found.driver, 'docker-container');
  assert.equal(found.nodes[0]['buildkitd-flags'], flags);
  assert(found.nodes[0].platforms.includes('linux/arm64'));
});
await step('BuildKit.versionSatisfies', async () => assert(await buildkit.versionSatisfies('N', '>=0.11.0')));
await step('build', async () => {
  const files = ['--iidfile', build.getImageIDFilePath(), '--metadata-file', build.getMetadataFilePath()];
  const attest = ['--attest', 'type=provenance,mode=max,builder-id=https://github.test/o/r/actions/runs/1'];
  const to = ['--platform', 'linux/amd64,linux/arm64', '--tag', tag, '--builder', 'N', '--push'];
  await run(['build', ...files, ...attest, ...to, context]);
});
const metadata = build.resolveMetadata() ?? {};
await step('Build.resolveDigest', () => assert.match(build.resolveDigest(metadata), /^sha256:/));
await step('Build.resolveImageID', () => assert.equal(build.resolveImageID(), build.resolveDigest(metadata)));
await step('Build.resolveRef', () => assert.match(build.resolveRef(metadata), /^N\/n0\/[a-z0-9]+$/));
await step('provenance of each platform', () => {
  for (const platform of ['linux/amd64', 'linux/arm64']) assert(metadata[`buildx.build.provenance/${platform}`]);
});
await step('ImageTools.inspectManifest', async () => {
  const index = await new ImageTools({buildx}).inspectManifest({name: tag});
  assert.equal(index.manifests.length, 4);
  assert.equal(index.digest ?? build.resolveDigest(metadata), build.resolveDigest(metadata));
});
await step('ImageTools.inspectImage', async () => {
  const images = await new ImageTools({buildx}).inspectImage({name: tag});
  assert.deepEqual(Object.keys(images).sort(), ['linux/amd64', 'linux/arm64']);
});
await step('Bake.getDefinition', async () => {
  const files = [path.join(context, 'docker-bake.json')];
  const found = await new Bake({buildx}).getDefinition({files, targets: [], overrides: []}, {cwd: context});
  assert.deepEqual(found.target.default.tags, ['baked:1']);
});
await step('bake', async () => run(['bake', '--file', path.join(context, 'docker-bake.json'), '--allow', 'fs=*']));
await step('History.export', async () => {
  const found = await new History({buildx}).export({refs: [build.resolveRef(metadata)]});
  assert(found.dockerbuildSize > 0);
  assert.equal(Object.values(found.summaries)[0].status, 'completed');
});
await step('rm', async () => run(['rm', 'N']));
process.stdout.write(`\nRESULTS ${JSON.stringify(results)}\n`);
