// Plays the clips of a .glb, .gltf or .fbx file.
//
//   ?file=hello.glb&audio=hello.wav     what to load; files may be dropped on the page too
//   &time=1.25,2                        pictures of these times side by side, without buttons
//   &clip=1                             another clip than the first
//
// The page's title is "ready" when the pictures are drawn.
import * as THREE from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';

const asked = new URLSearchParams(location.search);
const $ = id => document.getElementById(id);

const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
renderer.setPixelRatio(devicePixelRatio);
document.body.append(renderer.domElement);

const scene = new THREE.Scene();
scene.background = new THREE.Color('#23262c');
scene.add(new THREE.HemisphereLight('#dfe8ff', '#3a3028', 1.4));
for (const [strength, x, y, z] of [[2.2, 1.5, 1.5, 2.5], [0.7, -2, 0.5, 1], [1.2, -1, 1.5, -2]]) {
  const light = new THREE.DirectionalLight('#ffffff', strength);
  light.position.set(x, y, z);
  scene.add(light);
}
const camera = new THREE.PerspectiveCamera(24, 1, 0.001, 1000);
const orbit = new OrbitControls(camera, renderer.domElement);

let root, clips = [], mixer, action, playing = false;
let begin = 0; // where the clip's first key is: a file may begin elsewhere

async function parse(name, data) {
  if (/\.fbx$/i.test(name)) {
    const { FBXLoader } = await import('three/addons/loaders/FBXLoader.js');
    const group = new FBXLoader().parse(data, '');
    linearColors(group);
    return [group, group.animations];
  }
  const { GLTFLoader } = await import('three/addons/loaders/GLTFLoader.js');
  const gltf = await new GLTFLoader().parseAsync(data, '');
  return [gltf.scene, gltf.animations];
}

// FBXLoader takes colors for sRGB; those of facesdk are linear light, as Blender and engines want.
function linearColors(group) {
  const materials = new Set(), colors = new Set(), one = new THREE.Color();
  group.traverse(o => {
    if (!o.isMesh) return;
    for (const material of [o.material].flat()) materials.add(material);
    if (o.geometry.attributes.color) colors.add(o.geometry.attributes.color);
  });
  for (const { color } of materials) color.convertLinearToSRGB();
  for (const color of colors) {
    for (let i = 0; i < color.count; i++) {
      one.fromBufferAttribute(color, i).convertLinearToSRGB();
      color.setXYZ(i, one.r, one.g, one.b);
    }
  }
}

async function show(name, data) {
  if (root) scene.remove(root);
  [root, clips] = await parse(name, data);
  scene.add(root);
  root.traverse(o => { o.frustumCulled = false; }); // shapes and joints leave the box at rest
  look();
  mixer = new THREE.AnimationMixer(root);
  $('clip').replaceChildren(...clips.map((clip, i) => new Option(clip.name, i)));
  $('words').textContent = clips.length ? '' : `${name} has no clips`;
  if (clips.length) choose(+(asked.get('clip') ?? 0));
}

// Face in the middle of the picture: the upper half of what there is.
function look() {
  const box = new THREE.Box3().setFromObject(root);
  const size = box.getSize(new THREE.Vector3()), middle = box.getCenter(new THREE.Vector3());
  middle.y += 0.13 * size.y;
  camera.near = size.y / 50; // files are in meters or in centimeters
  camera.far = size.y * 50;
  orbit.target.copy(middle);
  camera.position.copy(middle).add(new THREE.Vector3(0.3, 0.02, 1.75).multiplyScalar(size.y));
  orbit.update();
}

function choose(index) {
  mixer.stopAllAction();
  action = mixer.clipAction(clips[index]);
  action.play();
  begin = Math.min(...clips[index].tracks.map(track => track.times[0]));
  $('time').min = begin;
  $('time').max = clips[index].duration;
  seek(begin);
}

function seek(seconds) {
  action.time = seconds; // of the clip; mixer.setTime would count from the last start
  mixer.update(0);
  $('time').value = seconds;
}

// The picture of a part of the page.
function picture(left, wide) {
  camera.aspect = wide / innerHeight;
  camera.updateProjectionMatrix();
  renderer.setViewport(left, 0, wide, innerHeight);
  renderer.setScissor(left, 0, wide, innerHeight);
  renderer.render(scene, camera);
}

function draw(now) {
  renderer.setSize(innerWidth, innerHeight);
  if (action && playing) {
    const sound = $('sound');
    const heard = sound.src && !sound.paused ? begin + sound.currentTime : null;
    const seconds = heard ?? action.time + (now - last) / 1000;
    seek(seconds > action.getClip().duration ? begin : seconds);
  }
  last = now;
  picture(0, innerWidth);
}

function drawTimes(times) {
  const wide = innerWidth / times.length;
  renderer.setSize(innerWidth, innerHeight);
  renderer.setScissorTest(true);
  times.forEach((time, i) => {
    seek(time);
    picture(i * wide, wide);
  });
  document.title = 'ready';
}

let last = 0;

$('play').onclick = () => {
  playing = !playing;
  $('play').textContent = playing ? 'pause' : 'play';
  const sound = $('sound');
  if (!sound.src) return;
  sound.currentTime = action.time - begin;
  playing ? sound.play() : sound.pause();
};
$('time').oninput = () => {
  seek(+$('time').value);
  $('sound').currentTime = action.time - begin;
};
$('clip').onchange = () => choose(+$('clip').value);
addEventListener('dragover', event => event.preventDefault());
addEventListener('drop', async event => {
  event.preventDefault();
  const file = event.dataTransfer.files[0];
  await show(file.name, await file.arrayBuffer());
});

if (!asked.has('time')) $('bar').classList.remove('hidden');
if (asked.has('audio')) $('sound').src = asked.get('audio');
if (asked.has('file')) {
  const answer = await fetch(asked.get('file'));
  await show(asked.get('file'), await answer.arrayBuffer());
}
const times = asked.get('time')?.split(',').map(Number);
renderer.setAnimationLoop(times ? () => drawTimes(times) : draw);
