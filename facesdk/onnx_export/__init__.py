"""Models as ONNX files for game engines; needs onnx, not torch."""
