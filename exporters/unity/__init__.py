"""AnimationClips of Unity, written and read."""
