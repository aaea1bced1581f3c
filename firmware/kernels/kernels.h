/* SPDX-License-Identifier: Apache-2.0 */
/* int8 kernels: NHWC tensors, everything about a layer in a constant struct. docs/kernels.md has the support matrix.
 *
 * An accumulator becomes an int8 by TFLM's double rounding (fixedpoint.h):
 *   clamp(requantize(accumulator, multiplier, shift) + output_offset, activation_min, activation_max). */
#ifndef TINYFLOW_KERNELS_H
#define TINYFLOW_KERNELS_H

#include <stdint.h>

#include "requant.h"

#define KERNEL_MAX_RANK 5

/* Per output channel, or (quant_step 0) one for all of them. */
typedef struct {
  const int32_t *multiplier;
  const int8_t *shift;
  int32_t quant_step;
} channel_quant;

/* weights: (output_channels, filter_height, filter_width, filter_channels); input channels come in
 * input_channels / filter_channels groups. bias may be NULL. */
typedef struct {
  const int8_t *weights;
  const int32_t *bias;
  channel_quant quant;
  int32_t batches;
  int32_t input_height, input_width, input_channels;
  int32_t output_height, output_width, output_channels;
  int32_t filter_height, filter_width, filter_channels;
  int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t input_offset, output_offset, activation_min, activation_max;
} conv_2d_s8_params;

void conv_2d_s8(const conv_2d_s8_params *p, const int8_t *input, int8_t *output);

/* Packed weights of a matrix product (tinyflow/compile/lowering/matmul.py), one stream of words in the order of use;
 * depth: of a dot product, padded; rounding: twice the output's zero point plus one; bounded: int8 saturation is not
 * all of the activation. */
typedef struct {
  const int32_t *stream;
  int32_t words, depth, channels, rounding;
  int32_t bounded, activation_min, activation_max;
} matmul_s8;

/* A block of pixels against all channels (matmul_s8.h): of fused weights; where no negative value's rounding counts; of
 * weights apart, where sums may leave 24 bits. Only the one that a layer names is linked. */
typedef struct matmul_s8_block matmul_s8_block;
typedef void matmul_s8_pairs_function(const matmul_s8_block *block);
matmul_s8_pairs_function matmul_s8_pairs, matmul_s8_pairs_plain, matmul_s8_pairs_wide;

/* 1x1 filters without padding; either layout on either side, told by the strides. scratch: 9 * depth bytes. In place
 * where the output of a pixel never lies over a later one's input: planes of the same size, or pixels that do not grow;
 * where they grow, but none is skipped, from the last to the first (backwards). */
typedef struct {
  matmul_s8 matmul;
  matmul_s8_pairs_function *pairs;
  int32_t input_bytes, input_channels;
  int32_t input_row, input_pixel, input_channel; /* bytes from one that is read to the next */
  int32_t rows, row_pixels, output_pixel, output_channel; /* without a stride, all pixels are one row */
  int32_t backwards;
} pointwise_conv_2d_s8_params;

void pointwise_conv_2d_s8(const pointwise_conv_2d_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);

/* Any filter, one group, one batch; input NHWC, output either. run: bytes of a filter's row, padded to 4; depth: all of
 * them. scratch: 6 * depth + 4 * run bytes. */
typedef struct {
  matmul_s8 matmul;
  matmul_s8_pairs_function *pairs;
  int32_t input_height, input_width, input_channels, input_zero;
  int32_t output_width, output_pixels, output_pixel, output_channel;
  int32_t filter_height, filter_width, run;
  int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
} conv_2d_packed_s8_params;

void conv_2d_packed_s8(const conv_2d_packed_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);

/* Sums of four outputs, their biases first in the stream; end: of the columns. As above: of fused weights, of weights
 * apart. */
typedef void fully_connected_packed_s8_sums_function(const int32_t *stream, const uint32_t *columns,
                                                     const uint32_t *end, int32_t sums[4]);
fully_connected_packed_s8_sums_function fully_connected_packed_s8_sums, fully_connected_packed_s8_sums_wide;

/* One row of `inputs`. scratch: 2 * depth bytes; in place. */
typedef struct {
  matmul_s8 matmul;
  fully_connected_packed_s8_sums_function *sums;
  int32_t inputs;
} fully_connected_packed_s8_params;

void fully_connected_packed_s8(const fully_connected_packed_s8_params *p, const int8_t *input, int8_t *output,
                               int8_t *scratch);

/* weights: (filter_height, filter_width, output_channels); output_channels = input_channels * multiplier. */
typedef struct {
  const int8_t *weights;
  const int32_t *bias;
  channel_quant quant;
  int32_t batches;
  int32_t input_height, input_width, input_channels;
  int32_t output_height, output_width, channel_multiplier;
  int32_t filter_height, filter_width;
  int32_t stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  int32_t input_offset, output_offset, activation_min, activation_max;
} depthwise_conv_2d_s8_params;

void depthwise_conv_2d_s8(const depthwise_conv_2d_s8_params *p, const int8_t *input, int8_t *output);

/* Depthwise, one filter per channel, channel after channel; in place where a plane does not grow. Each plane is copied
 * into scratch between its padding. There its columns lie in phases_w phases (column x in phase x % phases_w),
 * phase_bytes apart: so the taps of a dilated convolution lie side by side, or the same taps of neighbouring outputs of
 * a strided one. */
typedef struct {
  const int8_t *weights; /* (channels, filter_height, filter_width), and one byte that is read and not used */
  const int8_t *table;   /* (256,) of a RELU that every input passes first, index input + 128; or NULL */
  const int32_t *bias_multiplier; /* (channels, 2): requant_s8_shared's, the bias doubled */
  const int8_t *shift;            /* (channels,) */
  /* (filter_height, filter_width) where the taps lie, from the first; NULL in the unrolled kernels */
  const int32_t *taps;
  int32_t zero;        /* requant_s8_shared's */
  int32_t channels, input_height, input_width, output_height, output_width;
  int32_t filter_height, filter_width, pad_top, pad_left;
  int32_t phases_w, phase_bytes;
  /* rows and phases that are convolutions of their own: each outputs_h-th row of outputs, ... */
  int32_t outputs_h, outputs_w;
  int32_t row;                  /* from an output of one of them to that below it: bytes of the copy */
  int32_t padded_bytes, padding; /* padding: the input's zero point */
} depthwise_planar_s8_params;

/* Any filter; 3x3 and 5x5 whose neighbouring outputs are one tap apart; 3x3 without dilation, two columns apart. */
void depthwise_planar_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);
void depthwise_planar_3x3_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);
void depthwise_planar_3x3_stride2_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output,
                                     int8_t *scratch);
void depthwise_planar_5x5_s8(const depthwise_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);

/* weights: (outputs, depth). */
typedef struct {
  const int8_t *weights;
  const int32_t *bias;
  channel_quant quant;
  int32_t batches, depth, outputs;
  int32_t input_offset, output_offset, activation_min, activation_max;
} fully_connected_s8_params;

void fully_connected_s8(const fully_connected_s8_params *p, const int8_t *input, int8_t *output);

/* Two inputs read with strides (in elements, 0 along a broadcast axis) over a 4-D output shape. */
typedef struct {
  int32_t shape[4], stride1[4], stride2[4];
} broadcast_4d;

/* ADD and SUB: both inputs brought to a common scale with 20 bits of headroom, then to the output's. */
typedef struct {
  broadcast_4d at;
  int32_t offset1, offset2, output_offset;
  int32_t multiplier1, multiplier2, output_multiplier;
  int32_t shift1, shift2, output_shift;
  int32_t activation_min, activation_max;
} add_s8_params;

void add_s8(const add_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);
void sub_s8(const add_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);

/* ADD and SUB of equal shapes at scales where one rounding gives TFLM's answer for all 65,536 pairs (linear.h):
 * output = clamp((weight1 * input1 + weight2 * input2 + bias) >> LINEAR_SHIFT), the weights' low 8 bits fractions. */
typedef struct {
  int32_t elements, weight1, weight2, bias;
  int32_t bounded, activation_min, activation_max; /* bounded: int8 saturation is not all */
} weighted_sum_s8_params;

void weighted_sum_s8(const weighted_sum_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);

typedef struct {
  broadcast_4d at;
  int32_t offset1, offset2, output_offset;
  int32_t output_multiplier, output_shift;
  int32_t activation_min, activation_max;
} mul_s8_params;

void mul_s8(const mul_s8_params *p, const int8_t *input1, const int8_t *input2, int8_t *output);

/* One input of a CONCATENATION into its place: `outer` runs of `run` bytes, `output_run` bytes apart. */
typedef struct {
  int32_t outer, run, output_run, output_start;
} concatenation_s8_params;

void concatenation_s8(const concatenation_s8_params *p, const int8_t *input, int8_t *output);

typedef struct {
  int32_t batches, channels;
  int32_t input_height, input_width, output_height, output_width;
  int32_t filter_height, filter_width, stride_h, stride_w, pad_top, pad_left;
  int32_t activation_min, activation_max;
  int32_t counts_padding, padding_value; /* whether pixels outside count, and as what */
} pool_2d_s8_params;

/* The divisor is the number of pixels under the window, or with counts_padding of the whole window. */
void average_pool_2d_s8(const pool_2d_s8_params *p, const int8_t *input, int8_t *output);
void max_pool_2d_s8(const pool_2d_s8_params *p, const int8_t *input, int8_t *output);

/* Channel after channel, in place where a plane does not grow; each plane is copied into scratch between
 * its padding. */
typedef struct {
  int32_t channels;
  int32_t input_height, input_width, output_height, output_width;
  int32_t filter_height, filter_width, stride_h, stride_w, pad_top, pad_left;
  int32_t pitch, padded_bytes;           /* of the copy: of a row, in all */
  int32_t counts_padding, padding_value; /* average: as above, a window of at most 180 pixels */
} pool_planar_s8_params;

void average_pool_planar_s8(const pool_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);
void max_pool_planar_s8(const pool_planar_s8_params *p, const int8_t *input, int8_t *output, int8_t *scratch);

/* The mean of each channel over all pixels: a MEAN that rescales as mean_s8, or an AVERAGE_POOL_2D of the
 * whole image. */
typedef struct {
  int32_t channels, pixels, planar;
  int32_t rescales, zero_sum, output_offset, output_multiplier, output_shift;
} global_mean_s8_params;

void global_mean_s8(const global_mean_s8_params *p, const int8_t *input, int8_t *output);

/* Kept and reduced axes with their strides in the input, the innermost last; unused places have extent 1. */
typedef struct {
  int32_t kept[KERNEL_MAX_RANK], kept_stride[KERNEL_MAX_RANK];
  int32_t reduced[KERNEL_MAX_RANK], reduced_stride[KERNEL_MAX_RANK];
  int32_t zero_sum; /* input zero point * elements reduced */
  int32_t output_offset, output_multiplier, output_shift; /* 1/elements is in the multiplier */
} mean_s8_params;

void mean_s8(const mean_s8_params *p, const int8_t *input, int8_t *output);

typedef struct {
  int32_t input_shape[KERNEL_MAX_RANK], before[KERNEL_MAX_RANK], after[KERNEL_MAX_RANK];
  int32_t value;
} pad_s8_params;

void pad_s8(const pad_s8_params *p, const int8_t *input, int8_t *output);

/* output[i0, i1, ...] = input[start + i0 * stride[0] + ...]: STRIDED_SLICE, TRANSPOSE, and from pixels to planes or
 * back. */
typedef struct {
  int32_t shape[KERNEL_MAX_RANK], stride[KERNEL_MAX_RANK];
  int32_t start;
} gather_s8_params;

void gather_s8(const gather_s8_params *p, const int8_t *input, int8_t *output);

/* Output (y, x) is input (rows[y], columns[x]). */
typedef struct {
  const int16_t *rows, *columns; /* (output_height,), (output_width,) */
  int32_t batches, channels;
  int32_t input_height, input_width, output_height, output_width;
} resize_nearest_neighbor_s8_params;

void resize_nearest_neighbor_s8(const resize_nearest_neighbor_s8_params *p, const int8_t *input, int8_t *output);

/* A function of one value, RELU, RELU6, LOGISTIC, HARD_SWISH, QUANTIZE, is the first of these three that equals it for
 * all 256 inputs: a clamp; clamp((weight * input + bias) >> LINEAR_SHIFT), the weight's low 8 bits fractions
 * (linear.h); a table. */
typedef struct {
  int32_t elements, activation_min, activation_max;
} clamp_s8_params;

void clamp_s8(const clamp_s8_params *p, const int8_t *input, int8_t *output);

typedef struct {
  int32_t elements, weight, bias;
  int32_t bounded, activation_min, activation_max; /* bounded: int8 saturation is not all */
} rescale_s8_params;

void rescale_s8(const rescale_s8_params *p, const int8_t *input, int8_t *output);

typedef struct {
  const int8_t *table; /* (256,): the results of 0 to 127, then of -128 to -1 */
  int32_t elements;
} lookup_s8_params;

void lookup_s8(const lookup_s8_params *p, const int8_t *input, int8_t *output);

/* Along the last axis; output scale 1/256, zero point -128. */
typedef struct {
  int32_t rows, depth;
  int32_t input_multiplier, input_left_shift;
  int32_t difference_min; /* exp of anything below is 0 */
} softmax_s8_params;

void softmax_s8(const softmax_s8_params *p, const int8_t *input, int8_t *output);

/* QUANTIZE float -> int8 and DEQUANTIZE int8 -> float; floats lie unaligned as bytes. */
typedef struct {
  int32_t elements;
  float scale;
  int32_t zero_point;
} affine_params;

void quantize_f32_s8(const affine_params *p, const void *input, int8_t *output);
void dequantize_s8_f32(const affine_params *p, const int8_t *input, void *output);

#endif
