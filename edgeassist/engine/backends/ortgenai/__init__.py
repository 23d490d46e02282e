"""ONNX Runtime GenAI; only `backend` imports onnxruntime_genai."""
