# Included by llama-cpp-python's project() (CMAKE_PROJECT_llama_cpp_INCLUDE). EdgeAssist loads llama.cpp's own library and
# nothing beside it. As variables of the project these win over the option and the FORCEd cache entry of the same names.
set(LLAVA_BUILD OFF)
set(LLAMA_BUILD_COMMON OFF)
