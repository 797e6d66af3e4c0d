"""Compiles a CUDA source to PTX with NVRTC, which needs no GPU and no driver.

Usage: nvrtc.py LIBNVRTC SOURCE ARCH; the PTX goes to standard output. `cargo xtask kernels` calls it.
"""

import ctypes
import sys


def main(library, source, arch):
    nvrtc = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    program = ctypes.c_void_p()

    def call(function, *arguments):
        status = getattr(nvrtc, function)(*arguments)
        if status != 0:
            size = ctypes.c_size_t()
            log = b""
            if program and nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0:
                buffer = ctypes.create_string_buffer(size.value)
                nvrtc.nvrtcGetProgramLog(program, buffer)
                log = buffer.value
            reason = nvrtc.nvrtcGetErrorString(status).decode()
            sys.exit(f"{function}: {reason}\n{log.decode()}")

    with open(source, "rb") as file:
        text = file.read()
    # The name goes into symbols: a constant, so that the PTX is the same wherever it is made.
    call("nvrtcCreateProgram", ctypes.byref(program), text, b"kernel.cu", 0, None, None)
    options = [f"--gpu-architecture={arch}".encode(), b"--std=c++17"]
    call("nvrtcCompileProgram", program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    call("nvrtcGetPTXSize", program, ctypes.byref(size))
    ptx = ctypes.create_string_buffer(size.value)
    call("nvrtcGetPTX", program, ptx)
    sys.stdout.write(ptx.value.decode())


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
