"""Folders that look like an installed TFLM: real archives of a few functions, and headers of a few lines."""

import shutil
import subprocess
from pathlib import Path

from tinyflow.deploy.tflm.library import DOWNLOADS, INCLUDES, KERNELS, LIBRARY, RESOLVER, check_compiler
from tinyflow.errors import TinyflowError

CROSS_CXX = "needs C++ for a Cortex-M: apt-get install libstdc++-arm-none-eabi-newlib"


def cross_cxx() -> bool:
    """Whether the cross compiler here has its C++ library, a package of its own."""
    try:
        check_compiler()
    except TinyflowError:
        return False
    return shutil.which("arm-none-eabi-ar") is not None


RESOLVER_TEXT = """
  TfLiteStatus AddCustom(const char* name, const TFLMRegistration* registration) { return kTfLiteOk; }
  TfLiteStatus AddAdd(const TFLMRegistration& registration = Register_ADD()) {
    return AddBuiltin(BuiltinOperator_ADD, registration, ParseAdd);
  }
  TfLiteStatus AddConv2D(
      const TFLMRegistration& registration = Register_CONV_2D()) {
    return AddBuiltin(BuiltinOperator_CONV_2D, registration, ParseConv2D);
  }
  TfLiteStatus AddDepthwiseConv2D(const TFLMRegistration& registration =
                                      tflite::Register_DEPTHWISE_CONV_2D()) {
    return AddBuiltin(BuiltinOperator_DEPTHWISE_CONV_2D, registration,
                      ParseDepthwiseConv2D);
  }
  TfLiteStatus AddFullyConnected(
      const TFLMRegistration& registration = Register_FULLY_CONNECTED()) {
    return AddBuiltin(BuiltinOperator_FULLY_CONNECTED, registration, ParseFullyConnected);
  }
  TfLiteStatus AddMean() {
    return AddBuiltin(BuiltinOperator_MEAN, Register_MEAN(), ParseReducer);
  }
  TfLiteStatus AddSoftmax(const TFLMRegistration& registration = Register_SOFTMAX()) {
    return AddBuiltin(BuiltinOperator_SOFTMAX, registration, ParseSoftmax);
  }
"""
# Register_...
FUNCTIONS = (
    "ADD",
    "CONV_2D",
    "CONV_2D_INT8",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "MEAN",
    "SOFTMAX",
)


def mangled(function: str) -> str:
    """tflite::``function``() as C++ compilers call it."""
    return f"_ZN6tflite{len(function)}{function}Ev"


def installed(
    root: Path,
    *builds: str,
    functions: tuple[str, ...] = FUNCTIONS,
    compiler: str = "arm-none-eabi-gcc",
    archiver: str = "arm-none-eabi-ar",
) -> Path:
    """``root`` with headers and, for each of ``builds`` ("cortex-m4+fp_release_cmsis_nn"), a library."""
    for folder, name in INCLUDES:
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RESOLVER_TEXT if name == RESOLVER else "")
    (root / KERNELS).mkdir(parents=True, exist_ok=True)
    (root / KERNELS / "conv.h").write_text("TFLMRegistration Register_CONV_2D_INT8();\n")
    source = root / "registrations.c"
    source.write_text("".join(f"void {mangled(f'Register_{name}')}(void) {{}}\n" for name in functions))
    subprocess.run([compiler, "-c", source.name], cwd=root, check=True)
    for build in builds:
        folder = root / f"gen/cortex_m_generic_{build}_gcc/lib"
        folder.mkdir(parents=True)
        subprocess.run([archiver, "rcs", str(folder / LIBRARY), "registrations.o"], cwd=root, check=True)
    return root


def without_download(root: Path, name: str) -> None:
    shutil.rmtree(root / DOWNLOADS / name)
