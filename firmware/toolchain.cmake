# SPDX-License-Identifier: Apache-2.0
# The one cross toolchain file: GNU Arm Embedded, for any Cortex-M. CPU flags come from board.yaml as TINYFLOW_CPU_FLAGS.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(CMAKE_CXX_COMPILER arm-none-eabi-g++) # for the runtime tflm
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # nothing links before our start-up and linker script are there
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES TINYFLOW_CPU_FLAGS)
set(CMAKE_C_FLAGS_INIT "${TINYFLOW_CPU_FLAGS}")
set(CMAKE_CXX_FLAGS_INIT "${TINYFLOW_CPU_FLAGS}")
set(CMAKE_EXECUTABLE_SUFFIX "")
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
