"""Files that Unreal imports: scripts, curve tables, definitions for its RigMapper."""
