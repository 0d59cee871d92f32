// Foreign readers under node: a request a line on stdin, {"do", "path", ...}, its answer a line on
// stdout. `npm ci` in this folder installs them.
import fs from 'node:fs';
import readline from 'node:readline';

globalThis.self = globalThis.window = globalThis; // three's loaders expect a browser
globalThis.ProgressEvent ??= class { constructor(type) { this.type = type; } };
console.log = console.warn = console.error;

const THREE = await import('three');
const opened = new Map();

async function three(path) {
  if (!opened.has(path)) opened.set(path, await open(path));
  return opened.get(path);
}

async function open(path) {
  const bytes = fs.readFileSync(path);
  const data = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  if (/\.fbx$/i.test(path)) {
    const { FBXLoader } = await import('three/addons/loaders/FBXLoader.js');
    const root = new FBXLoader().parse(data, '');
    return { root, clips: root.animations };
  }
  const { GLTFLoader } = await import('three/addons/loaders/GLTFLoader.js');
  const loader = new GLTFLoader();
  if (/\.vrma$/i.test(path)) {
    const { VRMAnimationLoaderPlugin } = await import('@pixiv/three-vrm-animation');
    loader.register(parser => new VRMAnimationLoaderPlugin(parser));
  } else if (/\.vrm$/i.test(path)) {
    const { VRMLoaderPlugin } = await import('@pixiv/three-vrm');
    loader.register(parser => new VRMLoaderPlugin(parser));
  }
  const gltf = await loader.parseAsync(data, '');
  return { root: gltf.scene, clips: gltf.animations, vrm: gltf.userData.vrmAnimations,
           avatar: gltf.userData.vrm };
}

// Curves of a clip by name: morph targets by their own names, turns of nodes as `<node>.quaternion`.
function curves({ root }, clip) {
  const found = {};
  for (const track of clip.tracks) {
    const { nodeName, propertyName, propertyIndex } = THREE.PropertyBinding.parseTrackName(track.name);
    const node = THREE.PropertyBinding.findNode(root, nodeName);
    if (propertyName !== 'morphTargetInfluences') {
      found[`${nodeName}.${propertyName}`] = { track, first: 0, width: track.getValueSize() };
      continue;
    }
    for (const [name, i] of Object.entries(node.morphTargetDictionary)) {
      if (propertyIndex !== undefined && propertyIndex !== name && +propertyIndex !== i) continue;
      const first = propertyIndex === undefined ? i : 0;
      found[name] ??= { track, first, width: 1 };
    }
  }
  return found;
}

function keys({ track, first, width }) {
  const size = track.getValueSize();
  const values = [];
  for (let k = 0; k < track.times.length; k++) {
    for (let i = 0; i < width; i++) values.push(track.values[k * size + first + i]);
  }
  return { times: [...track.times], values, width };
}

function sampled({ track, first, width }, times) {
  const interpolant = track.createInterpolant();
  return times.flatMap(time => [...interpolant.evaluate(time)].slice(first, first + width));
}

// A file in Babylon.js without a screen.
async function babylon(path) {
  const B = await import('@babylonjs/core');
  await import('@babylonjs/loaders/glTF/index.js');
  globalThis.XMLHttpRequest ??= class {};
  globalThis.addEventListener ??= () => {};
  globalThis.removeEventListener ??= () => {};
  B.Logger.LogLevels = B.Logger.NoneLogLevel;
  const engine = new B.NullEngine(), scene = new B.Scene(engine);
  scene.useRightHandedSystem = true;
  new B.FreeCamera('camera', B.Vector3.Zero(), scene);
  const data = `data:;base64,${fs.readFileSync(path).toString('base64')}`;
  await B.ImportMeshAsync(data, scene, { pluginExtension: path.slice(path.lastIndexOf('.')) });
  return { B, engine, scene };
}

// Places of vertices of every mesh as they are drawn, or at rest.
function babylonVertices(B, meshes, drawn) {
  const point = new B.Vector3(), points = [];
  for (const mesh of meshes) {
    const at = drawn ? mesh.getPositionData(true, true) : mesh.getVerticesData('position');
    const world = mesh.computeWorldMatrix(true);
    for (let i = 0; i < at.length; i += 3) {
      B.Vector3.TransformCoordinatesFromFloatsToRef(at[i], at[i + 1], at[i + 2], world, point);
      points.push(point.x, point.y, point.z);
    }
  }
  return points;
}

const tasks = {
  // weights, turns and vertices of a file's first animation at times, in Babylon.js
  async babylon({ path, times }) {
    const { B, engine, scene } = await babylon(path);
    const meshes = scene.meshes.filter(mesh => mesh.getTotalVertices() > 0);
    const group = scene.animationGroups[0];
    for (const other of scene.animationGroups) other.stop();
    const rest = babylonVertices(B, meshes, false);
    const weights = {}, turns = {}, points = [];
    for (const time of times) {
      group.start(false);
      group.pause();
      group.goToFrame(time * group.targetedAnimations[0].animation.framePerSecond);
      scene.render();
      for (const skeleton of scene.skeletons) skeleton.prepare(true);
      for (const mesh of meshes) {
        const shapes = mesh.morphTargetManager;
        for (let i = 0; i < (shapes?.numTargets ?? 0); i++) {
          const { name, influence } = shapes.getTarget(i);
          ((weights[name] ??= {})[mesh.uniqueId] ??= []).push(influence);
        }
      }
      for (const node of scene.transformNodes) {
        if (node.rotationQuaternion) (turns[node.name] ??= []).push(node.rotationQuaternion.asArray());
      }
      points.push(babylonVertices(B, meshes, true));
    }
    engine.dispose();
    return { weights, turns, rest, points };
  },
  // every curve of the clip: its keys
  async curves({ path, clip = 0 }) {
    const file = await three(path);
    const found = curves(file, file.clips[clip]);
    return Object.fromEntries(Object.entries(found).map(([name, c]) => [name, keys(c)]));
  },
  // one curve at times
  async sample({ path, clip = 0, curve, times }) {
    const file = await three(path);
    return sampled(curves(file, file.clips[clip])[curve], times);
  },
  // clips, meshes, nodes
  async outline({ path }) {
    const { root, clips } = await three(path);
    root.updateMatrixWorld(true);
    const meshes = [], nodes = {};
    root.traverse(o => {
      nodes[o.name] = o.getWorldPosition(new THREE.Vector3()).toArray();
      if (o.isMesh) meshes.push({
        name: o.name, vertices: o.geometry.attributes.position.count,
        targets: Object.keys(o.morphTargetDictionary ?? {}), skinned: !!o.isSkinnedMesh,
        attributes: Object.keys(o.geometry.attributes),
      });
    });
    return { clips: clips.map(c => ({ name: c.name, duration: c.duration })), meshes, nodes };
  },
  // where vertices of a mesh are without any clip
  async rest({ path, mesh }) {
    const { root } = await three(path);
    root.updateMatrixWorld(true);
    const { geometry, matrixWorld } = root.getObjectByName(mesh);
    const { position } = geometry.attributes, point = new THREE.Vector3(), points = [];
    for (let i = 0; i < position.count; i++) {
      points.push(...point.fromBufferAttribute(position, i).applyMatrix4(matrixWorld).toArray());
    }
    return points;
  },
  // where vertices of a mesh are at a time of a clip, as they are drawn
  async vertices({ path, clip = 0, mesh, time }) {
    const { root, clips } = await three(path);
    const mixer = new THREE.AnimationMixer(root);
    mixer.clipAction(clips[clip]).play();
    mixer.setTime(time);
    root.updateMatrixWorld(true);
    const object = root.getObjectByName(mesh);
    object.skeleton?.update();
    const count = object.geometry.attributes.position.count, point = new THREE.Vector3();
    const points = [];
    for (let i = 0; i < count; i++) {
      object.getVertexPosition(i, point).applyMatrix4(object.matrixWorld);
      points.push(...point.toArray());
    }
    mixer.stopAllAction();
    return points;
  },
  // a VRM animation as three-vrm-animation understands it
  async vrma({ path, clip = 0, times = null }) {
    const { vrm } = await three(path);
    const { humanoidTracks, expressionTracks, lookAtTrack } = vrm[clip];
    const groups = { bones: humanoidTracks.rotation, preset: expressionTracks.preset,
                     custom: expressionTracks.custom,
                     lookAt: new Map(lookAtTrack ? [['lookAt', lookAtTrack]] : []) };
    const found = {};
    for (const [group, tracks] of Object.entries(groups)) {
      found[group] = {};
      for (const [name, track] of tracks) {
        const curve = { track, first: 0, width: track.getValueSize() };
        found[group][name] = times ? { times, values: sampled(curve, times), width: curve.width } : keys(curve);
      }
    }
    return { ...found, duration: vrm[clip].duration, hips: vrm[clip].restHipsPosition.toArray() };
  },
  // influences of a VRM avatar's morph targets for weights of its expressions, frame by frame
  async expressions({ path, mesh, frames }) {
    const { avatar } = await three(path);
    const object = avatar.scene.getObjectByName(mesh);
    return frames.map(weights => {
      avatar.expressionManager.resetValues();
      for (const [name, value] of Object.entries(weights)) avatar.expressionManager.setValue(name, value);
      avatar.expressionManager.update();
      return [...object.morphTargetInfluences];
    });
  },
  // what the validator of the glTF specification says
  async validate({ path }) {
    const { default: validator } = await import('gltf-validator');
    const options = { maxIssues: 0, writeTimestamp: false };
    const { issues, info } = await validator.validateBytes(new Uint8Array(fs.readFileSync(path)), options);
    return { ...issues, info };
  },
};

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { do: task, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await tasks[task](request) };
  } catch (error) {
    answer = { error: `${error.stack ?? error}` };
  }
  process.stdout.write(JSON.stringify(answer) + '\n');
}
