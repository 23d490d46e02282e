"""The ONNX Runtime GenAI backend; `backend` alone imports onnxruntime_genai."""
