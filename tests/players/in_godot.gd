extends Node
# Runs inside Godot: fetches files from the page's server and posts what Godot shows of them.

func _ready():
	var origin = JavaScriptBridge.eval("location.origin", true)
	while true:
		var asked = await exchange(origin + "/next", HTTPClient.METHOD_GET, "")
		var request = JSON.parse_string(asked) if asked != "" else null
		if request == null:
			await get_tree().create_timer(0.02).timeout
			continue
		await exchange(origin + "/answer", HTTPClient.METHOD_POST, JSON.stringify(play(request)))

func exchange(address, method, text):
	var http = HTTPRequest.new()
	add_child(http)
	http.request(address, [], method, text)
	var done = await http.request_completed
	http.queue_free()
	return done[3].get_string_from_utf8() if done[1] == 200 else ""

func play(request):
	var fbx = request.kind == ".fbx"
	var document = FBXDocument.new() if fbx else GLTFDocument.new()
	var state = FBXState.new() if fbx else GLTFState.new()
	var failed = document.append_from_buffer(Marshalls.base64_to_raw(request.data), "", state)
	if failed != OK:
		return {"error": "import returned %d" % failed}
	var scene = document.generate_scene(state, request.rate)
	add_child(scene)
	var meshes = scene.find_children("*", "MeshInstance3D", true, false)
	var players = scene.find_children("*", "AnimationPlayer", true, false)
	var names = players[0].get_animation_list()
	var clip = request.clip if names.has(request.clip) else names[0]
	var answer = {"version": Engine.get_version_info().string, "frames": []}
	for time in request.times:
		players[0].play(clip)
		players[0].seek(time, true)
		players[0].advance(0)
		answer.frames.append(shown(scene, meshes))
	scene.free()
	return answer

func shown(scene, meshes):
	var frame = {"weights": {}, "turns": {}, "parts": []}
	for mesh in meshes:
		for i in mesh.mesh.get_blend_shape_count():
			var name = str(mesh.mesh.get_blend_shape_name(i))
			if not frame.weights.has(name):
				frame.weights[name] = []
			frame.weights[name].append(mesh.get_blend_shape_value(i))
		frame.parts.append(part(mesh))
	for skeleton in scene.find_children("*", "Skeleton3D", true, false):
		for bone in skeleton.get_bone_count():
			frame.turns[skeleton.get_bone_name(bone)] = four(skeleton.get_bone_pose_rotation(bone))
	for node in scene.find_children("*", "Node3D", true, false):
		if not (node is MeshInstance3D or node is Skeleton3D or frame.turns.has(str(node.name))):
			frame.turns[str(node.name)] = four(node.quaternion)
	return frame

# Vertices of a mesh with its shapes, and the matrices of what it hangs on.
func part(mesh):
	var mixed = mesh.mesh
	if mesh.mesh.get_blend_shape_count() > 0:
		mixed = mesh.bake_mesh_from_current_blend_shape_mix()
	var found = {"world": twelve(mesh.global_transform), "moved": [], "rest": [], "bones": [], "weights": [], "pose": []}
	var skeleton = mesh.get_node_or_null(mesh.skeleton)
	if skeleton and mesh.skin:
		for bind in mesh.skin.get_bind_count():
			var bone = mesh.skin.get_bind_bone(bind)
			if bone < 0:
				bone = skeleton.find_bone(mesh.skin.get_bind_name(bind))
			var pose = skeleton.get_bone_global_pose(bone) * mesh.skin.get_bind_pose(bind)
			found.pose.append(twelve(skeleton.global_transform * pose))
	for surface in mesh.mesh.get_surface_count():
		var base = mesh.mesh.surface_get_arrays(surface)
		for vertex in mixed.surface_get_arrays(surface)[Mesh.ARRAY_VERTEX]:
			found.moved.append_array([vertex.x, vertex.y, vertex.z])
		for vertex in base[Mesh.ARRAY_VERTEX]:
			found.rest.append_array([vertex.x, vertex.y, vertex.z])
		if base[Mesh.ARRAY_BONES] != null:
			found.bones.append_array(Array(base[Mesh.ARRAY_BONES]))
			found.weights.append_array(Array(base[Mesh.ARRAY_WEIGHTS]))
	return found

func four(turn):
	return [turn.x, turn.y, turn.z, turn.w]

# Columns of the basis, then the origin.
func twelve(at):
	return [at.basis.x.x, at.basis.x.y, at.basis.x.z, at.basis.y.x, at.basis.y.y, at.basis.y.z,
		at.basis.z.x, at.basis.z.y, at.basis.z.z, at.origin.x, at.origin.y, at.origin.z]
