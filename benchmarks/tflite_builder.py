"""Builds .tflite flatbuffers for benchmarks and tests, operator by operator, with quantisation of
one's own choosing.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {"int8": 9, "int32": 2, "float32": 0, "int16": 7, "uint8": 3, "int64": 4}
ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU_N1_TO_1": 2, "RELU6": 3, "TANH": 4}


class Builder:
    """``tensor``, ``const`` and ``op`` return tensor indices; ``finish`` the bytes of the model."""

    def __init__(self):
        self.tensors, self.buffers, self.ops, self.codes = [], [schema.BufferT()], [], {}

    def tensor(
        self,
        shape,
        scale=None,
        zero_point=0,
        dtype="int8",
        data=None,
        axis=0,
        name=None,
        variable=False,
        signature=None,
    ):
        tensor = schema.TensorT()
        tensor.shape, tensor.type = np.array(shape, np.int32), TYPES[dtype]
        tensor.name = (name or f"t{len(self.tensors)}").encode()
        tensor.isVariable, tensor.hasRank = variable, True
        if signature is not None:
            tensor.shapeSignature = np.array(signature, np.int32)
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.zeroPoint = np.broadcast_to(np.asarray(zero_point, np.int64), quantization.scale.shape).copy()
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        tensor.buffer = 0
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def const(self, data, dtype, scale=None, zero_point=0, axis=0, name=None):
        return self.tensor(np.shape(data), scale, zero_point, dtype, data, axis, name)

    def op(self, kind, inputs, outputs, options=None, **values):
        """``options``: name of the options table; ``values``: its fields, activation and padding by their names."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(kind, len(self.codes))
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, options + "T")()
            if "activation" in values:
                values["fusedActivationFunction"] = ACTIVATIONS[values.pop("activation")]
            if "padding" in values:
                values["padding"] = {"SAME": 0, "VALID": 1}[values["padding"]]
            for name, value in values.items():
                assert hasattr(operator.builtinOptions, name), name
                setattr(operator.builtinOptions, name, value)
        self.ops.append(operator)
        return outputs[0]

    def finish(self, inputs, outputs, subgraphs=1):
        import flatbuffers

        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.name = self.tensors, self.ops, b"main"
        graph.inputs, graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        model = schema.ModelT()
        model.version, model.description = 3, b"tinyflow test"
        model.buffers, model.subgraphs, model.operatorCodes = self.buffers, [graph] * subgraphs, []
        for kind in self.codes:
            code = schema.OperatorCodeT()
            number = getattr(schema.BuiltinOperator, kind)
            code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
