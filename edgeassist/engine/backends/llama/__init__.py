"""llama.cpp through llama-cpp-python's low-level API; nothing else in the product imports `llama_cpp`.

Why not its `Llama` class: one sequence, no cancel, the whole answer detokenized again for every token.
"""
