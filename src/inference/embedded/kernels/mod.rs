//! Loops over memory. What they read and write is planned in [`super::plan`], so no buffer is allocated
//! here.

mod bands;
mod convolution;
mod half;
mod in_place;
mod lanes;
mod layout;
mod math;
mod minimal;
mod normalize;
mod order;
mod plain;
mod pool;
mod post;
mod shared;
mod simd;
mod tile;
mod transform;
mod transpose;
mod vector;
mod weights;
mod window;

pub(super) use convolution::{Input, Job as Convolve, MAX_TAPS};
pub(super) use half::{available as bf16_available, to_half};
pub(super) use in_place::{MOST_PLANES, Turns};
pub(crate) use lanes::{Arena, Extent, LANES, Lanes, per_channel, values, values_mut};
pub(super) use layout::{AxisMap, add_taken, border, copy_channels, elementwise, take, to_blocked, to_plain};
pub(super) use minimal::{Filtered, Minimal, filtered};
pub(super) use normalize::{Job as Normalize, scratch, softmax};
pub(super) use plain::{HEAD_BLOCKS, head_input};
pub(super) use pool::{CubicNeighbors, Job as Pool, Neighbors, Pooling, interpolate, interpolate_cubic};
pub(super) use post::{Epilogue, Other, Post};
pub(crate) use simd::Simd;
pub(super) use weights::{Order, Packed};
pub(super) use window::{Axis, Windows, axes, padded_counts};
