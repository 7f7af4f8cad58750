//! How samples are stored in a file.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// Type of one stored sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum DataType {
    UInt8,
    Int8,
    UInt16,
    Int16,
    UInt32,
    Int32,
    UInt64,
    Int64,
    Float32,
    Float64,
    Float128,
    Complex64,
    Complex128,
    Complex256,
    Rgb24,
    Rgba32,
}

impl DataType {
    const NAMES: [(Self, &str, &str); 16] = [
        (Self::UInt8, "uint8", "u8"),
        (Self::Int8, "int8", "i8"),
        (Self::UInt16, "uint16", "u16"),
        (Self::Int16, "int16", "i16"),
        (Self::UInt32, "uint32", "u32"),
        (Self::Int32, "int32", "i32"),
        (Self::UInt64, "uint64", "u64"),
        (Self::Int64, "int64", "i64"),
        (Self::Float32, "float32", "f32"),
        (Self::Float64, "float64", "f64"),
        (Self::Float128, "float128", "f128"),
        (Self::Complex64, "complex64", "c64"),
        (Self::Complex128, "complex128", "c128"),
        (Self::Complex256, "complex256", "c256"),
        (Self::Rgb24, "rgb24", "rgb"),
        (Self::Rgba32, "rgba32", "rgba"),
    ];

    /// Name as numpy has it, such as `int16`.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|entry| entry.0 == self).map_or("", |entry| entry.1)
    }

    /// Bytes of one sample.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::UInt8 | Self::Int8 => 1,
            Self::UInt16 | Self::Int16 => 2,
            Self::Rgb24 => 3,
            Self::UInt32 | Self::Int32 | Self::Float32 | Self::Rgba32 => 4,
            Self::UInt64 | Self::Int64 | Self::Float64 | Self::Complex64 => 8,
            Self::Float128 | Self::Complex128 => 16,
            Self::Complex256 => 32,
        }
    }

    /// True when a sample is a single number of at most 64 bits.
    #[must_use]
    pub fn is_number(self) -> bool {
        !matches!(
            self,
            Self::Float128 | Self::Complex64 | Self::Complex128 | Self::Complex256 | Self::Rgb24 | Self::Rgba32
        )
    }

    /// The values that the type can hold, for integers of at most 32 bits; `None` for all others.
    #[must_use]
    pub fn integer_range(self) -> Option<(f64, f64)> {
        match self {
            Self::UInt8 => Some((0.0, u8::MAX.into())),
            Self::Int8 => Some((i8::MIN.into(), i8::MAX.into())),
            Self::UInt16 => Some((0.0, u16::MAX.into())),
            Self::Int16 => Some((i16::MIN.into(), i16::MAX.into())),
            Self::UInt32 => Some((0.0, u32::MAX.into())),
            Self::Int32 => Some((i32::MIN.into(), i32::MAX.into())),
            _ => None,
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for DataType {
    type Err = Error;

    /// From either `int16` or `i16`.
    fn from_str(text: &str) -> Result<Self> {
        Self::NAMES.iter().find(|entry| entry.1 == text || entry.2 == text).map(|entry| entry.0).ok_or_else(|| {
            Error::usage(format!("{text:?} is no data type")).hint("name one of u8, i16, u16, i32, f32, f64")
        })
    }
}
