#version 330 core
// no light; a hole in a texture does not hide what is behind it
struct Material {
    vec4 base_color_factor;
    float metallic_factor;
    float roughness_factor;
    vec3 emissive_factor;
#ifdef HAS_BASE_COLOR_TEX
    sampler2D base_color_texture;
#endif
};
uniform Material material;
#ifdef TEXCOORD_0_LOC
in vec2 uv;
#endif
#ifdef COLOR_0_LOC
in vec4 tint;
#endif
out vec4 frag_color;
void main() {
    vec4 color = material.base_color_factor;
#ifdef HAS_BASE_COLOR_TEX
    color *= texture(material.base_color_texture, uv);
    if (color.a < 0.03) discard;
#endif
#ifdef COLOR_0_LOC
    color *= tint;
#endif
    frag_color = clamp(color, 0.0, 1.0);
}
