"""Whole networks through the compiler, against tflite_micro: every layer of one input, the answers of several."""

import numpy as np
import pytest
from bit_exact import assert_bit_exact, compile_bytes, kernel_archive, random_rows
from model_zoo import MODELS, every_operator

from tinyflow.reference import kernels, oracle
from tinyflow.reference.hostmodel import HostModel
from tinyflow.reference.oracles import first_difference

pytest.importorskip("tflite_micro", reason="needs the tflite-micro wheel: make setup")


@pytest.mark.parametrize("name", MODELS)
def test_mlperf_tiny_shapes(name):
    build, macs = MODELS[name]
    model = assert_bit_exact(build(), rows=6)
    assert model.macs == macs
    assert model.arena_bound_bytes <= model.arena_bytes <= model.arena_bound_bytes * 1.02 + 64


@pytest.mark.parametrize("name", MODELS)
def test_answers_depend_on_the_input(name, tmp_path):
    """Random weights must not saturate, or bit-exactness would prove little."""
    model = compile_bytes(MODELS[name][0](), tmp_path)
    x = np.random.default_rng(0).integers(-128, 128, (8, *model.input.shape[1:])).astype(np.int8)
    host = HostModel(model, kernels=[kernel_archive()])
    logits = max(layer.index for layer in model.layers if layer.kind == "FULLY_CONNECTED")
    assert len({host.layer(logits, row).tobytes() for row in x}) == 8
    for layer, values in zip(model.layers, host.layer_outputs(x[0])):
        assert len(np.unique(values)) > 1, layer.name


def test_a_difference_names_layer_element_and_both_versions(tmp_path):
    model = compile_bytes(MODELS["autoencoder"][0](), tmp_path)
    x = np.zeros((1, 640), np.int8)
    outputs = HostModel(model, kernels=[kernel_archive()]).layer_outputs(x)
    assert first_difference(model, 0, x, outputs, oracle) is None
    outputs[3] = outputs[3].copy()
    outputs[3][0, 17] ^= 1
    found = first_difference(model, 0, x, outputs, oracle)
    assert (found.layer, found.kind, found.element) == (3, "FULLY_CONNECTED", (0, 17))
    assert "8f6596d" in str(found) and "tinyflow" in str(found) and model.layers[3].name in str(found)


@pytest.mark.parametrize("build", [every_operator, MODELS["ds_cnn"][0], MODELS["autoencoder"][0]])
def test_our_reference_kernels_know_what_tflm_knows(build, tmp_path):
    """As an oracle: answers of several rows, and every layer of one of them, with other kernels than the compiler's."""
    model = compile_bytes(build(), tmp_path)
    x = random_rows(model, 3, seed=5)
    assert np.array_equal(kernels.invoke(model.tflite, x), oracle.invoke(model.tflite, x))
    outputs = HostModel(model, kernels=[kernel_archive()]).layer_outputs(x[0])
    assert first_difference(model, 0, x[0], outputs, kernels) is None
    shared = [layer for layer in model.layers if kernels.layer_outputs(model.tflite, x[0], (layer.tensor,))]
    assert len(shared) > len(model.layers) / 2
    last = shared[-1].index
    outputs[last] = outputs[last] ^ np.int8(1)
    assert first_difference(model, 0, x[0], outputs, kernels).layer == last


@pytest.mark.slow
def test_a_network_converted_by_tensorflow(tmp_path):
    """Keras -> TFLiteConverter, full int8: what the converter emits, not what our builder does."""
    tf = pytest.importorskip("tensorflow", reason="needs tensorflow: make setup")
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    source = layers.Input((20, 12, 2), batch_size=1)
    y = layers.Conv2D(8, (5, 3), strides=2, padding="same", activation="relu")(source)
    a = layers.DepthwiseConv2D(3, dilation_rate=(2, 2), padding="same")(y)
    a = layers.BatchNormalization()(a)
    s = layers.GlobalAveragePooling2D(keepdims=True)(a)
    s = layers.Conv2D(8, 1, activation="sigmoid")(s)
    a = layers.Multiply()([a, s])
    b = layers.Conv2D(8, 3, padding="same", groups=2)(y)
    b = layers.Lambda(lambda t: t * tf.nn.relu6(t + 3.0) / 6.0)(b)
    c = layers.Concatenate()(
        [layers.Add()([a, b]), layers.MaxPooling2D(3, 1, "same")(y), layers.AveragePooling2D(3, 1, "same")(y)]
    )
    c = layers.ZeroPadding2D(((0, 1), (1, 0)))(c)
    c = layers.Permute((2, 1, 3))(layers.Subtract()([c[:, 0:10:2], c[:, 1:11:2]]))
    c = layers.GlobalAveragePooling2D()(c)
    network = tf.keras.Model(source, layers.Softmax()(layers.Dense(5)(c)))
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([rng.normal(size=(1, 20, 12, 2)).astype(np.float32)] for _ in range(30))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    model = assert_bit_exact(converter.convert(), rows=40)
    kinds = {layer.kind for layer in model.layers}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "LOGISTIC", "MUL", "CONCATENATION", "SOFTMAX"} <= kinds, kinds
