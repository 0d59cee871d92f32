"""Stills with OpenGL: light per pixel, cast shadows, relief of the skin."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Floats
from ..mesh import Head
from .camera import FIELD_OF_VIEW, Camera
from .gl import GLPainter
from .light import Light, VertexMaterials, linear
from .look import Image, Look
from .render_mesh import is_inside, is_skin
from .textured import Lit

MAX_LAMPS = 6
"""Lamps of a lighting that the shader can hold."""
_SHADOW_SIDE = 1280
_SHADOW_REACH = 0.24
"""Meters around the target of the camera in which things cast shadows."""
_NEAR, _FAR = 0.01, 20.0
_LARGEST = 2048
"""Pixels of the longer side up to which an image is drawn at twice its size."""

_VERTEX = """
#version 330 core
layout(location=0) in vec3 place;
layout(location=1) in vec3 normal;
layout(location=2) in vec3 albedo;
layout(location=3) in vec3 finish;    // softness, gloss, sharpness
layout(location=4) in vec3 rest;      // meters in the neutral
layout(location=5) in vec3 kind;      // skin; lips, or -1 in the mouth; wet
uniform mat4 lens;
invariant gl_Position;
out vec3 at, up, color, shine, home, what;
void main() {
    at = place; up = normal; color = albedo; shine = finish; home = rest; what = kind;
    gl_Position = lens * vec4(place, 1.0);
}
"""

_SHADOW_VERTEX = """
#version 330 core
layout(location=0) in vec3 place;
uniform mat4 lens;
invariant gl_Position;
void main() { gl_Position = lens * vec4(place, 1.0); }
"""

_SHADOW_FRAGMENT = """
#version 330 core
void main() {}
"""

_FRAGMENT = """
#version 330 core
in vec3 at, up, color, shine, home, what;
out vec4 pixel;
uniform int lamps;
uniform vec3 direction[6];
uniform vec3 power[6];
uniform mat4 toward[6];       // camera space to the shadow map of a lamp
uniform sampler2DArray maps;
uniform vec3 sky, ground;
uniform float ambient, exposure, distance;
uniform mat3 axes;            // rows: right, up, toward the camera, in the head's space
uniform float reach;          // meters across a shadow map

float hash(ivec3 p) {
    uint h = uint(p.x) * 73856093u ^ uint(p.y) * 19349663u ^ uint(p.z) * 83492791u;
    h = (h ^ (h >> 16)) * 0x45d9f3bu; h = (h ^ (h >> 16)) * 0x45d9f3bu;
    return float((h ^ (h >> 16)) & 0xffffu) / 32767.5 - 1.0;
}
// value noise: xyz is the gradient, w the value
vec4 noise(vec3 p) {
    ivec3 i = ivec3(floor(p)); vec3 f = p - vec3(i);
    vec3 u = f * f * (3.0 - 2.0 * f), du = 6.0 * f * (1.0 - f);
    float a = hash(i), b = hash(i + ivec3(1,0,0)), c = hash(i + ivec3(0,1,0)),
          d = hash(i + ivec3(1,1,0)), e = hash(i + ivec3(0,0,1)), g = hash(i + ivec3(1,0,1)),
          h = hash(i + ivec3(0,1,1)), k = hash(i + ivec3(1,1,1));
    float k1 = b - a, k2 = c - a, k3 = e - a, k4 = a - b - c + d, k5 = a - c - e + h,
          k6 = a - b - e + g, k7 = -a + b + c - d + e - g - h + k;
    return vec4(du * vec3(k1 + k4*u.y + k6*u.z + k7*u.y*u.z,
                          k2 + k5*u.z + k4*u.x + k7*u.z*u.x,
                          k3 + k6*u.x + k5*u.y + k7*u.x*u.y),
                a + k1*u.x + k2*u.y + k3*u.z + k4*u.x*u.y + k5*u.y*u.z + k6*u.z*u.x
                + k7*u.x*u.y*u.z);
}
float lit(int lamp, vec3 normal, float blur, float turn) {
    vec3 lifted = at + normal * (what.z > 0.5 ? 0.0003 : 0.0011);
    vec3 place = (toward[lamp] * vec4(lifted, 1.0)).xyz * 0.5 + 0.5;
    if (any(lessThan(place, vec3(0.0))) || any(greaterThan(place, vec3(1.0)))) return 1.0;
    float cs = cos(turn), sn = sin(turn), sum = 0.0, near = 0.0, blockers = 0.0;
    mat2 spin = mat2(cs, sn, -sn, cs);
    float slack = 0.0006 / (2.0 * reach);
    for (int i = 0; i < 7; i++) {
        float r = sqrt((float(i) + 0.5) / 7.0), w = 2.399963 * float(i);
        vec2 spot = place.xy + spin * vec2(cos(w), sin(w)) * r * blur;
        float depth = texture(maps, vec3(spot, float(lamp))).r;
        if (depth < place.z - slack) { near += depth; blockers += 1.0; }
    }
    if (blockers < 0.5) return 1.0;
    float gap = (place.z - near / blockers) * 2.0 * reach;     // meters to what casts
    float soft = clamp(gap * 0.16, 0.0009, 0.009) / (2.0 * reach);
    for (int i = 0; i < 14; i++) {
        float r = sqrt((float(i) + 0.5) / 14.0), w = 2.399963 * float(i);
        vec2 spot = place.xy + spin * vec2(cos(w), sin(w)) * r * soft;
        float depth = texture(maps, vec3(spot, float(lamp))).r;
        sum += depth < place.z - slack - 0.6 * r * soft ? 0.0 : 1.0;
    }
    return sum / 14.0;
}
void main() {
    vec3 normal = normalize(up);
    if (!gl_FrontFacing) normal = -normal;
    vec3 smoothed = normal, paint = color;
    float gloss = shine.y, skin = what.x, lips = max(what.y, 0.0);
    if (skin > 0.01) {
        // meters of the surface per pixel: relief finer than that is left out
        float pixel = length(fwidth(home)) * 0.5;
        vec4 pores = noise(home / 0.00055), grain = noise(home / 0.0013 + 7.0),
             folds = noise(home / 0.0034 + 3.0);
        vec3 lines = home * vec3(1.0 / 0.00075, 1.0 / 0.006, 1.0 / 0.003);
        vec4 creases = noise(lines + folds.w * 0.35);
        float fine = smoothstep(0.0009, 0.0002, pixel), middle = smoothstep(0.002, 0.0006, pixel);
        vec3 bump = pores.xyz * 0.085 * fine + grain.xyz * 0.085 * middle + folds.xyz * 0.035;
        bump = mix(bump, creases.xyz * vec3(1.0, 0.125, 0.25) * 0.16 * middle, lips);
        bump = axes * bump * skin;
        normal = normalize(normal - (bump - normal * dot(bump, normal)));
        float uneven = 1.0 + 0.022 * grain.w * middle + 0.02 * pores.w * fine + 0.015 * folds.w;
        paint *= mix(vec3(1.0), vec3(uneven), skin);
        gloss *= mix(1.0, 0.92 + 0.35 * grain.w * middle + 0.25 * folds.w, skin * (1.0 - lips));
        gloss *= 1.0 + 1.1 * lips;
    }
    vec3 view = normalize(vec3(0.0, 0.0, distance) - at);
    float turn = 6.2831853 * fract(52.9829189 * fract(dot(gl_FragCoord.xy,
                                                          vec2(0.06711056, 0.00583715))));
    float above = 0.5 + 0.5 * normal.y;
    vec3 coming = 0.5 * ambient * (ground + above * (sky - ground)), glint = vec3(0.0);
    vec3 wrap = shine.x * vec3(1.0, 0.6, 0.48);
    float facing = clamp(dot(normal, view), 0.0, 1.0);
    float grazing = 0.35 + 1.3 * pow(1.0 - facing, 4.0);
    for (int i = 0; i < lamps; i++) {
        // blood carries light under the relief: red follows the smooth surface
        vec3 facings = mix(vec3(dot(normal, direction[i])), vec3(dot(smoothed, direction[i])),
                           skin * vec3(0.75, 0.45, 0.35));
        float shadow = 1.0;
        if (facings.x + wrap.x > 0.0) shadow = lit(i, smoothed, 0.006 / (2.0 * reach), turn);
        if (what.y < -0.5) shadow = mix(0.55, 1.0, shadow);   // the mouth is dark already
        vec3 tinted = skin > 0.5 ? pow(vec3(shadow), vec3(0.72, 1.0, 1.08)) : vec3(shadow);
        coming += tinted * pow(max((facings + wrap) / (1.0 + wrap), 0.0), 1.0 + wrap)
                  * power[i] * 0.62;
        vec3 lamp = direction[i] * vec3(1.0, what.z > 0.5 ? 0.3 : 1.0, 1.0);
        vec3 half_way = lamp + view;
        half_way /= max(length(half_way), 1e-6);
        float cosine = max(dot(normal, half_way), 0.0);
        float sharp = shine.z;
        float spot = pow(cosine, sharp) * (sharp + 8.0) / 25.0;
        if (skin > 0.5)   // a second, sharper layer: oil on the skin
            spot = 0.72 * spot + 0.20 * pow(cosine, sharp * 3.2) * (sharp * 3.2 + 8.0) / 25.0;
        spot *= gloss * grazing * clamp(facings.x * 4.0 + 0.4, 0.0, 1.0);
        glint += mix(shadow, 1.0, what.z * 0.6) * spot * power[i];
    }
    vec3 light = exposure * (coming * paint + glint);
    float rest_ = 0.4;
    light = mix(light, 0.6 + rest_ * (1.0 - exp(-(light - 0.6) / rest_)),
                vec3(greaterThan(light, vec3(0.6))));
    vec3 low = 12.92 * light, high = 1.055 * pow(max(light, 0.0), vec3(1.0 / 2.4)) - 0.055;
    pixel = vec4(mix(high, low, vec3(lessThanEqual(light, vec3(0.0031308)))), 1.0);
}
"""


class FinePainter(GLPainter):
    """Draws stills of one head: slower than `GLPainter`, for looking closely."""

    def __init__(self, head: Head, look: Look | None = None) -> None:
        super().__init__(head, look)
        self._rest = np.ascontiguousarray(head.neutral, np.float32)
        kind = np.zeros((len(head.neutral), 3), np.float32)
        for part in head.parts:
            own = np.unique(head.triangles[part.triangles])
            if is_skin(part):
                kind[own, 0] = 1
            elif part.material.roughness <= 0.3:
                kind[own, 2] = 1
        if "lips" in head.masks:
            kind[:, 1] = np.clip(head.masks["lips"] * 1.6 - 0.4, 0, 1)
        for part in head.parts:
            if is_inside(part):
                kind[np.unique(head.triangles[part.triangles]), 1] = -1
        self._kinds = {False: kind, True: np.zeros_like(kind)}
        self._recolored = False

    def paint(self, points: Floats, camera: Camera, *, colors: Floats | None = None) -> Image:
        """Return an image of the head with its vertices at (V, 3) meters.

        `colors` (V, 3) sRGB replace the head's own, and then skin has no relief.
        """
        self._recolored = colors is not None
        return super().paint(points, camera, colors=colors)

    @property
    def _scale(self) -> int:
        """Supersampling factor."""
        return 2 if self.look.smooth and max(self.look.size) <= _LARGEST else 1

    def _picture(
        self,
        seen: Floats,
        normals: Floats,
        materials: VertexMaterials,
        camera: Camera,
        textures: Sequence[Lit],
    ) -> tuple[NDArray[np.uint8], Floats]:
        if textures:
            color, depth = super()._picture(seen, normals, materials, camera, textures)
            wide = color.shape[1] // self.look.size[0]
            return _reduced(color, depth, wide)
        lighting = self.look.lighting
        lamps = list(lighting.lamps.values())[:MAX_LAMPS]
        self._renderer._platform.make_current()
        try:
            scene, kind = self._scene, self._kinds[self._recolored]
            scene.upload(seen, normals, materials, self._rest, kind, self._mesh.triangles)
            lenses = [_lamp_lens(lamp) for lamp in lamps]
            scene.cast(lenses)
            uniforms: dict[str, Any] = {
                "sky": linear(np.array(lighting.sky, np.float32)),
                "ground": linear(np.array(lighting.ground, np.float32)),
                "ambient": float(lighting.ambient),
                "exposure": float(lighting.exposure),
                "distance": float(camera.distance),
                "axes": camera.axes(),
                "reach": _SHADOW_REACH,
            }
            color, depth = scene.draw(camera, lamps, lenses, uniforms)
        finally:
            self._renderer._platform.make_uncurrent()
        return _reduced(color, depth, self._scale)

    @cached_property
    def _scene(self) -> _Scene:
        width, height = (self._scale * side for side in self.look.size)
        return _Scene(width, height, samples=4 if self.look.smooth else 0)

    def close(self) -> None:
        """Release the OpenGL context."""
        self.__dict__.pop("_scene", None)
        super().close()


def _reduced(
    color: NDArray[np.uint8], depth: Floats, scale: int
) -> tuple[NDArray[np.uint8], Floats]:
    """Return an image and its depth at the wanted size."""
    if scale == 1:
        return color, depth
    height, width = depth.shape[0] // 2, depth.shape[1] // 2
    quarters = color.reshape(height, 2, width, 2, 4).astype(np.uint16)
    mean = (quarters.sum((1, 3), dtype=np.uint16) + 2) // 4
    return mean.astype(np.uint8), depth.reshape(height, 2, width, 2).max((1, 3))


def _lamp_lens(lamp: Light) -> Floats:
    """Return the (4, 4) orthographic projection of camera space as seen from a lamp."""
    ahead = lamp.direction.astype(float)
    side = np.cross([0.0, 1.0, 0.0] if abs(ahead[1]) < 0.95 else [1.0, 0.0, 0.0], ahead)
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([side, np.cross(ahead, side), -ahead]) / _SHADOW_REACH
    return matrix.astype(np.float32)


class _Scene:
    """Shaders, buffers and images in the current OpenGL context."""

    def __init__(self, width: int, height: int, *, samples: int) -> None:
        from OpenGL import GL

        self._gl = GL
        self._size = width, height
        self._main = _program(_VERTEX, _FRAGMENT)
        self._shadow = _program(_SHADOW_VERTEX, _SHADOW_FRAGMENT)
        self._array = GL.glGenVertexArrays(1)
        self._buffers = GL.glGenBuffers(7)
        self._count = 0
        self._maps = GL.glGenTextures(1)
        GL.glBindTexture(GL.GL_TEXTURE_2D_ARRAY, self._maps)
        GL.glTexImage3D(
            GL.GL_TEXTURE_2D_ARRAY, 0, GL.GL_DEPTH_COMPONENT32F, _SHADOW_SIDE, _SHADOW_SIDE,
            MAX_LAMPS, 0, GL.GL_DEPTH_COMPONENT, GL.GL_FLOAT, None,
        )  # fmt: skip
        for option, value in (
            (GL.GL_TEXTURE_MIN_FILTER, GL.GL_NEAREST), (GL.GL_TEXTURE_MAG_FILTER, GL.GL_NEAREST),
            (GL.GL_TEXTURE_WRAP_S, GL.GL_CLAMP_TO_EDGE),
            (GL.GL_TEXTURE_WRAP_T, GL.GL_CLAMP_TO_EDGE),
        ):  # fmt: skip
            GL.glTexParameteri(GL.GL_TEXTURE_2D_ARRAY, option, value)
        self._shadow_target = GL.glGenFramebuffers(1)
        self._target = _target(width, height, samples)
        self._resolved = _target(width, height, 0) if samples else self._target

    def upload(
        self,
        seen: Floats,
        normals: Floats,
        materials: VertexMaterials,
        rest: Floats,
        kind: Floats,
        triangles: NDArray[np.int32],
    ) -> None:
        """Send one frame's vertices."""
        gl = self._gl
        finish = np.stack([materials.softness, materials.gloss, materials.sharpness], 1)
        gl.glBindVertexArray(self._array)
        for slot, values in enumerate((seen, normals, materials.albedo, finish, rest, kind)):
            data = np.ascontiguousarray(values, np.float32)
            gl.glBindBuffer(gl.GL_ARRAY_BUFFER, self._buffers[slot])
            gl.glBufferData(gl.GL_ARRAY_BUFFER, data.nbytes, data, gl.GL_STREAM_DRAW)
            gl.glEnableVertexAttribArray(slot)
            gl.glVertexAttribPointer(slot, 3, gl.GL_FLOAT, False, 0, None)
        order = np.ascontiguousarray(triangles, np.uint32)
        gl.glBindBuffer(gl.GL_ELEMENT_ARRAY_BUFFER, self._buffers[6])
        gl.glBufferData(gl.GL_ELEMENT_ARRAY_BUFFER, order.nbytes, order, gl.GL_STREAM_DRAW)
        self._count = order.size

    def cast(self, lenses: Sequence[Floats]) -> None:
        """Draw the depth of the scene as each lamp sees it."""
        gl = self._gl
        gl.glUseProgram(self._shadow)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._shadow_target)
        gl.glDrawBuffer(gl.GL_NONE)
        gl.glReadBuffer(gl.GL_NONE)
        gl.glViewport(0, 0, _SHADOW_SIDE, _SHADOW_SIDE)
        self._prepare()
        for layer, lens in enumerate(lenses):
            gl.glFramebufferTextureLayer(
                gl.GL_FRAMEBUFFER, gl.GL_DEPTH_ATTACHMENT, self._maps, 0, layer
            )
            gl.glClear(gl.GL_DEPTH_BUFFER_BIT)
            self._set(self._shadow, "lens", lens)
            gl.glDrawElements(gl.GL_TRIANGLES, self._count, gl.GL_UNSIGNED_INT, None)

    def draw(
        self,
        camera: Camera,
        lamps: Sequence[Light],
        lenses: Sequence[Floats],
        uniforms: dict[str, Any],
    ) -> tuple[NDArray[np.uint8], Floats]:
        """Return (H, W, 4) premultiplied bytes and (H, W) meters of depth, 0 for background."""
        gl, (width, height) = self._gl, self._size
        gl.glUseProgram(self._main)
        gl.glBindFramebuffer(gl.GL_FRAMEBUFFER, self._target)
        gl.glViewport(0, 0, width, height)
        self._prepare()
        gl.glClearColor(0, 0, 0, 0)
        gl.glClear(gl.GL_COLOR_BUFFER_BIT | gl.GL_DEPTH_BUFFER_BIT)
        gl.glActiveTexture(gl.GL_TEXTURE0)
        gl.glBindTexture(gl.GL_TEXTURE_2D_ARRAY, self._maps)
        self._set(self._main, "lens", _camera_lens(camera, width / height))
        for name, value in uniforms.items():
            self._set(self._main, name, value)
        gl.glUniform1i(gl.glGetUniformLocation(self._main, "maps"), 0)
        gl.glUniform1i(gl.glGetUniformLocation(self._main, "lamps"), len(lamps))
        for i, (lamp, lens) in enumerate(zip(lamps, lenses, strict=True)):
            self._set(self._main, f"direction[{i}]", lamp.direction)
            self._set(self._main, f"power[{i}]", lamp.power)
            self._set(self._main, f"toward[{i}]", lens)
        # depth first, so that every pixel is shaded once
        gl.glUseProgram(self._shadow)
        self._set(self._shadow, "lens", _camera_lens(camera, width / height))
        gl.glColorMask(False, False, False, False)
        gl.glDrawElements(gl.GL_TRIANGLES, self._count, gl.GL_UNSIGNED_INT, None)
        gl.glColorMask(True, True, True, True)
        gl.glUseProgram(self._main)
        gl.glDepthFunc(gl.GL_EQUAL)
        gl.glDrawElements(gl.GL_TRIANGLES, self._count, gl.GL_UNSIGNED_INT, None)
        gl.glDepthFunc(gl.GL_LESS)
        if self._resolved != self._target:
            gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._target)
            gl.glBindFramebuffer(gl.GL_DRAW_FRAMEBUFFER, self._resolved)
            box = (0, 0, width, height)
            gl.glBlitFramebuffer(*box, *box, gl.GL_COLOR_BUFFER_BIT, gl.GL_NEAREST)
            gl.glBlitFramebuffer(*box, *box, gl.GL_DEPTH_BUFFER_BIT, gl.GL_NEAREST)
        gl.glBindFramebuffer(gl.GL_READ_FRAMEBUFFER, self._resolved)
        gl.glPixelStorei(gl.GL_PACK_ALIGNMENT, 1)
        color = gl.glReadPixels(0, 0, width, height, gl.GL_RGBA, gl.GL_UNSIGNED_BYTE)
        depth = gl.glReadPixels(0, 0, width, height, gl.GL_DEPTH_COMPONENT, gl.GL_FLOAT)
        pixels = np.frombuffer(color, np.uint8).reshape(height, width, 4)[::-1]
        raw = np.frombuffer(depth, np.float32).reshape(height, width)[::-1]
        away = _NEAR * _FAR / (_FAR - raw * (_FAR - _NEAR))
        return pixels, np.where(raw < 1, away, 0).astype(np.float32)

    def _prepare(self) -> None:
        gl = self._gl
        gl.glEnable(gl.GL_DEPTH_TEST)
        gl.glDepthFunc(gl.GL_LESS)
        gl.glDepthMask(True)
        gl.glDisable(gl.GL_CULL_FACE)
        gl.glDisable(gl.GL_BLEND)
        gl.glBindVertexArray(self._array)

    def _set(self, program: int, name: str, value: Any) -> None:
        """Set a uniform: a number, a vector, or a matrix given in rows."""
        gl = self._gl
        place = gl.glGetUniformLocation(program, name)
        array = np.asarray(value, np.float32)
        if array.shape == (4, 4):
            gl.glUniformMatrix4fv(place, 1, True, np.ascontiguousarray(array))
        elif array.shape == (3, 3):
            gl.glUniformMatrix3fv(place, 1, True, np.ascontiguousarray(array))
        elif array.shape == (3,):
            gl.glUniform3fv(place, 1, array)
        else:
            gl.glUniform1f(place, float(array))


def _camera_lens(camera: Camera, aspect: float) -> Floats:
    """Return the (4, 4) perspective projection of camera space around the target."""
    focus = 1 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    lens = np.zeros((4, 4))
    lens[0, 0], lens[1, 1] = focus / aspect, focus
    lens[2, 2] = (_FAR + _NEAR) / (_NEAR - _FAR)
    lens[2, 3] = 2 * _FAR * _NEAR / (_NEAR - _FAR)
    lens[3, 2] = -1
    back = np.eye(4)
    back[2, 3] = -camera.distance
    return np.asarray(lens @ back, np.float32)


def _program(vertex: str, fragment: str) -> int:
    from OpenGL import GL
    from OpenGL.GL import shaders

    parts = [
        shaders.compileShader(vertex.strip(), GL.GL_VERTEX_SHADER),
        shaders.compileShader(fragment.strip(), GL.GL_FRAGMENT_SHADER),
    ]
    return int(shaders.compileProgram(*parts, validate=False))


def _target(width: int, height: int, samples: int) -> int:
    """Return a framebuffer with color and depth."""
    from OpenGL import GL

    color, depth = GL.glGenRenderbuffers(2)
    frame = GL.glGenFramebuffers(1)
    GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, frame)
    for buffer, format_, place in (
        (color, GL.GL_RGBA8, GL.GL_COLOR_ATTACHMENT0),
        (depth, GL.GL_DEPTH_COMPONENT24, GL.GL_DEPTH_ATTACHMENT),
    ):
        GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
        if samples:
            GL.glRenderbufferStorageMultisample(GL.GL_RENDERBUFFER, samples, format_, width, height)
        else:
            GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, format_, width, height)
        GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, place, GL.GL_RENDERBUFFER, buffer)
    return int(frame)
