//! Stored samples to the wanted type: one pass, no copy of the volume between.

use std::sync::{Mutex, PoisonError};

use crate::formats::DataType;

/// A type that intensities can be read as: `f32`, or `f64` where every stored value must arrive exactly.
pub trait Sample: Copy + Default + Into<f64> + Send + Sync + 'static {
    /// Rounded to the nearest.
    fn from_f64(value: f64) -> Self;
}

impl Sample for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding is what is asked for")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

impl Sample for f64 {
    fn from_f64(value: f64) -> Self {
        value
    }
}

/// One of the ten numeric types of a file.
pub(super) trait Stored: Copy {
    /// Rounded to the nearest, which only integers above 2^53 need.
    fn to_f64(self) -> f64;
    /// The value as a label id, when it is a whole number that fits.
    fn to_label(self) -> Option<u16>;
}

macro_rules! stored {
    ($($kind:ty, $label:expr;)*) => {$(
        impl Stored for $kind {
            fn to_f64(self) -> f64 {
                self as f64
            }

            fn to_label(self) -> Option<u16> {
                $label(self)
            }
        }
    )*};
}

stored! {
    u8, |v| Some(u16::from(v));
    i8, |v| u16::try_from(v).ok();
    u16, Some;
    i16, |v| u16::try_from(v).ok();
    u32, |v| u16::try_from(v).ok();
    i32, |v| u16::try_from(v).ok();
    u64, |v| u16::try_from(v).ok();
    i64, |v| u16::try_from(v).ok();
    f32, |v| whole(f64::from(v));
    f64, whole;
}

/// A whole number in 0..=65535.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "compared with the value")]
fn whole(value: f64) -> Option<u16> {
    let id = value as u16;
    (f64::from(id) == value).then_some(id)
}

/// What becomes of each stored sample.
pub(super) trait Convert: Sync {
    type Out: Copy + Default + Send;
    /// Samples must come one after the other, in the order of the file.
    const IN_ORDER: bool = false;
    /// `None` for a value that is refused.
    fn convert<S: Stored>(&self, value: S) -> Option<Self::Out>;
    /// Takes note of the first value of a part that is refused.
    fn refuse<S: Stored>(&self, _: S) {}
}

/// Intensities with the file's slope and intercept.
pub(super) struct Scaled<T> {
    slope: f64,
    intercept: f64,
    kind: std::marker::PhantomData<T>,
}

impl<T> Scaled<T> {
    pub(super) fn new((slope, intercept): (f64, f64)) -> Self {
        // Adding -0 changes nothing, adding +0 turns -0 into +0.
        Self { slope, intercept: if intercept == 0.0 { -0.0 } else { intercept }, kind: std::marker::PhantomData }
    }
}

impl<T: Sample> Convert for Scaled<T> {
    type Out = T;

    fn convert<S: Stored>(&self, value: S) -> Option<T> {
        Some(T::from_f64(value.to_f64() * self.slope + self.intercept))
    }
}

/// Intensities as they are stored.
pub(super) struct Unscaled<T>(pub(super) std::marker::PhantomData<T>);

impl<T: Sample> Convert for Unscaled<T> {
    type Out = T;

    fn convert<S: Stored>(&self, value: S) -> Option<T> {
        Some(T::from_f64(value.to_f64()))
    }
}

/// Label ids; remembers the first value that is none.
pub(super) struct LabelIds {
    scaling: Option<(f64, f64)>,
    bad: Mutex<Option<f64>>,
}

impl LabelIds {
    pub(super) fn new(scaling: Option<(f64, f64)>) -> Self {
        Self { scaling: scaling.filter(|&scaling| scaling != (1.0, 0.0)), bad: Mutex::new(None) }
    }

    fn scaled(&self, value: impl Stored) -> f64 {
        self.scaling.map_or_else(|| value.to_f64(), |(slope, intercept)| value.to_f64() * slope + intercept)
    }

    /// The first value that is no label id.
    pub(super) fn bad(&self) -> Option<f64> {
        *self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Convert for LabelIds {
    type Out = u16;
    // The first bad value is the one that is named.
    const IN_ORDER: bool = true;

    fn convert<S: Stored>(&self, value: S) -> Option<u16> {
        match self.scaling {
            None => value.to_label(),
            Some(_) => whole(self.scaled(value)),
        }
    }

    fn refuse<S: Stored>(&self, value: S) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        bad.get_or_insert_with(|| self.scaled(value));
    }
}

/// Fills `out` with the samples in `bytes`; leaves it for a type that holds no single number.
pub(super) fn decode<C: Convert>(bytes: &[u8], data_type: DataType, big_endian: bool, convert: &C, out: &mut [C::Out]) {
    macro_rules! run {
        ($kind:ty) => {{
            let (samples, _) = bytes.as_chunks::<{ size_of::<$kind>() }>();
            if big_endian {
                converted(samples, |&bytes| <$kind>::from_be_bytes(bytes), convert, out);
            } else {
                converted(samples, |&bytes| <$kind>::from_le_bytes(bytes), convert, out);
            }
        }};
    }
    match data_type {
        DataType::UInt8 => run!(u8),
        DataType::Int8 => run!(i8),
        DataType::UInt16 => run!(u16),
        DataType::Int16 => run!(i16),
        DataType::UInt32 => run!(u32),
        DataType::Int32 => run!(i32),
        DataType::UInt64 => run!(u64),
        DataType::Int64 => run!(i64),
        DataType::Float32 => run!(f32),
        DataType::Float64 => run!(f64),
        _ => (),
    }
}

/// Without a way out in the middle, so that it is vectorized.
fn converted<C: Convert, B, S: Stored>(samples: &[B], value: impl Fn(&B) -> S, convert: &C, out: &mut [C::Out]) {
    let mut refused = false;
    for (out, sample) in out.iter_mut().zip(samples) {
        let converted = convert.convert(value(sample));
        refused |= converted.is_none();
        *out = converted.unwrap_or_default();
    }
    if refused && let Some(bad) = samples.iter().map(value).find(|&value| convert.convert(value).is_none()) {
        convert.refuse(bad);
    }
}
