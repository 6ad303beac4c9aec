//! Element types as kernels compute with them, and the choice of one at load.

use crate::{
    Error,
    tensor::{DType, Element},
};
use half::{bf16, f16};

/// Runs an expression with `$T` as the Rust type of an element type, or refuses the element type.
macro_rules! dispatch {
    ($dtype:expr, [$($variant:ident: $type:ty),*], $T:ident => $body:expr) => {
        match $dtype {
            $($crate::tensor::DType::$variant => {
                type $T = $type;
                Ok($body)
            })*
            other => Err($crate::runtime::native::element::unsupported(other)),
        }
    };
}

/// [`dispatch`] among all element types.
macro_rules! for_any {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::tensor::DType::Bytes => {
                type $T = bytes::Bytes;
                Ok($body)
            }
            dtype => $crate::runtime::native::element::for_scalars!(dtype, $T => $body),
        }
    };
}

/// [`dispatch`] among numbers and truth values.
macro_rules! for_scalars {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::tensor::DType::Bool => {
                type $T = bool;
                Ok($body)
            }
            dtype => $crate::runtime::native::element::for_numbers!(dtype, $T => $body),
        }
    };
}

/// [`dispatch`] among numbers.
macro_rules! for_numbers {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::runtime::native::element::dispatch!(
            $dtype,
            [
                Uint8: u8, Uint16: u16, Uint32: u32, Uint64: u64, Int8: i8, Int16: i16, Int32: i32, Int64: i64,
                Fp16: half::f16, Fp32: f32, Fp64: f64, Bf16: half::bf16
            ],
            $T => $body
        )
    };
}

/// [`dispatch`] among numbers with a fraction.
macro_rules! for_floats {
    ($dtype:expr, $T:ident => $body:expr) => {
        $crate::runtime::native::element::dispatch!(
            $dtype,
            [Fp16: half::f16, Fp32: f32, Fp64: f64, Bf16: half::bf16],
            $T => $body
        )
    };
}

pub(super) use {dispatch, for_any, for_floats, for_numbers, for_scalars};

pub(super) fn unsupported(dtype: DType) -> Error {
    Error::unsupported("the native runtime does not take this element type here").with("dtype", dtype)
}

/// An element of any type.
pub(super) trait Item: Element + std::fmt::Debug {}

impl<T: Element + std::fmt::Debug> Item for T {}

/// A number without loss, between two element types.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wide {
    Int(i64),
    Uint(u64),
    Float(f64),
}

/// A number or a truth value.
pub(super) trait Scalar: Item + Copy + Default + PartialOrd + Send + Sync {
    fn wide(self) -> Wide;

    /// The nearest value, as processors and ONNX Runtime convert: whole numbers lose their upper bits, fractions are cut.
    fn from_wide(wide: Wide) -> Self;

    fn to_f64(self) -> f64 {
        match self.wide() {
            #[expect(clippy::cast_precision_loss, reason = "a conversion to a fraction rounds")]
            Wide::Int(value) => value as f64,
            #[expect(clippy::cast_precision_loss, reason = "a conversion to a fraction rounds")]
            Wide::Uint(value) => value as f64,
            Wide::Float(value) => value,
        }
    }
}

/// A number with the arithmetic of ONNX: whole numbers wrap around, and what has no result is zero.
pub(super) trait Number: Scalar {
    const ONE: Self;
    const LOWEST: Self;
    const HIGHEST: Self;

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The remainder with the sign of the divisor, as in Python.
    fn modulo(self, other: Self) -> Self;
    /// The remainder with the sign of the dividend, as in C.
    fn remainder(self, other: Self) -> Self;
    fn negative(self) -> Self;
    fn absolute(self) -> Self;
    fn sign(self) -> Self;
    fn is_nan(self) -> bool;

    /// The lesser; NaN if either is.
    fn min_nan(self, other: Self) -> Self {
        if self.is_nan() || self < other { self } else { other }
    }

    /// The greater; NaN if either is.
    fn max_nan(self, other: Self) -> Self {
        if self.is_nan() || self > other { self } else { other }
    }
}

/// A number with a fraction. Half precision computes in single precision and rounds.
pub(super) trait Float: Number {
    fn map(self, single: impl Fn(f32) -> f32, double: impl Fn(f64) -> f64) -> Self;
}

impl Scalar for bool {
    fn wide(self) -> Wide {
        Wide::Int(i64::from(self))
    }

    fn from_wide(wide: Wide) -> Self {
        match wide {
            Wide::Int(value) => value != 0,
            Wide::Uint(value) => value != 0,
            Wide::Float(value) => value != 0.0,
        }
    }
}

/// What a processor gives for a number that is no whole number of so many bits: the least one.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and a fraction is cut")]
fn cut(value: f64) -> i64 {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
    if fits { value as i64 } else { i64::MIN }
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked, and a fraction is cut")]
fn cut_short(value: f64) -> i32 {
    let fits = (-2_147_483_649.0..2_147_483_648.0).contains(&value) && value > -2_147_483_649.0;
    if fits { value as i32 } else { i32::MIN }
}

macro_rules! whole {
    ($($type:ty, $wide:ident, $cut:expr, $absolute:expr, $sign:expr, $negative:expr);* $(;)?) => {$(
        impl Scalar for $type {
            #[allow(clippy::cast_lossless, reason = "lossless for each of the types")]
            fn wide(self) -> Wide {
                Wide::$wide(self.into())
            }

            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_possible_wrap,
                clippy::cast_sign_loss,
                reason = "a conversion drops the upper bits"
            )]
            fn from_wide(wide: Wide) -> Self {
                match wide {
                    Wide::Int(value) => value as Self,
                    Wide::Uint(value) => value as Self,
                    Wide::Float(value) => $cut(value) as Self,
                }
            }
        }

        impl Number for $type {
            const ONE: Self = 1;
            const LOWEST: Self = Self::MIN;
            const HIGHEST: Self = Self::MAX;

            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }

            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }

            fn div(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }

            fn modulo(self, other: Self) -> Self {
                let rest = self.remainder(other);
                #[allow(unused_comparisons, reason = "false for numbers without a sign")]
                let differs = rest != 0 && (rest < 0) != (other < 0);
                if differs { rest.wrapping_add(other) } else { rest }
            }

            fn remainder(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }

            fn negative(self) -> Self {
                $negative(self)
            }

            fn absolute(self) -> Self {
                $absolute(self)
            }

            fn sign(self) -> Self {
                $sign(self)
            }

            fn is_nan(self) -> bool {
                false
            }
        }
    )*};
}

/// Above the range of `i64` a number without a sign is still itself.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to the range of 64 bits")]
fn cut_unsigned(value: f64) -> u64 {
    if value >= 0.0 { value as u64 } else { cut(value) as u64 }
}

whole! {
    u8, Uint, cut_short, std::convert::identity, |v: u8| v.min(1), u8::wrapping_neg;
    u16, Uint, cut_short, std::convert::identity, |v: u16| v.min(1), u16::wrapping_neg;
    u32, Uint, cut, std::convert::identity, |v: u32| v.min(1), u32::wrapping_neg;
    u64, Uint, cut_unsigned, std::convert::identity, |v: u64| v.min(1), u64::wrapping_neg;
    i8, Int, cut_short, i8::wrapping_abs, i8::signum, i8::wrapping_neg;
    i16, Int, cut_short, i16::wrapping_abs, i16::signum, i16::wrapping_neg;
    i32, Int, cut_short, i32::wrapping_abs, i32::signum, i32::wrapping_neg;
    i64, Int, cut, i64::wrapping_abs, i64::signum, i64::wrapping_neg;
}

/// `$up` and `$down` lead to the type that computes, and back.
macro_rules! fraction {
    ($($type:ty, $up:expr, $down:expr, $from_f64:expr, $from_i64:expr, $from_u64:expr);* $(;)?) => {$(
        impl Scalar for $type {
            #[allow(clippy::cast_lossless, reason = "lossless for each of the types")]
            fn wide(self) -> Wide {
                Wide::Float(self.into())
            }

            fn from_wide(wide: Wide) -> Self {
                match wide {
                    Wide::Int(value) => $from_i64(value),
                    Wide::Uint(value) => $from_u64(value),
                    Wide::Float(value) => $from_f64(value),
                }
            }
        }

        impl Number for $type {
            const ONE: Self = $down(1.0);
            const LOWEST: Self = Self::NEG_INFINITY;
            const HIGHEST: Self = Self::INFINITY;

            fn add(self, other: Self) -> Self {
                self + other
            }

            fn sub(self, other: Self) -> Self {
                self - other
            }

            fn mul(self, other: Self) -> Self {
                self * other
            }

            fn div(self, other: Self) -> Self {
                self / other
            }

            fn modulo(self, other: Self) -> Self {
                let (rest, divisor) = ($up(self.remainder(other)), $up(other));
                $down(if rest != 0.0 && (rest < 0.0) != (divisor < 0.0) { rest + divisor } else { rest })
            }

            fn remainder(self, other: Self) -> Self {
                $down($up(self) % $up(other))
            }

            fn negative(self) -> Self {
                -self
            }

            fn absolute(self) -> Self {
                $down($up(self).abs())
            }

            fn sign(self) -> Self {
                let value = $up(self);
                $down(if value > 0.0 { 1.0 } else if value < 0.0 { -1.0 } else { value })
            }

            fn is_nan(self) -> bool {
                $up(self).is_nan()
            }
        }
    )*};
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "a conversion to a fraction rounds")]
mod round {
    pub(super) const fn f32_from_f64(value: f64) -> f32 {
        value as f32
    }
    pub(super) const fn f32_from_i64(value: i64) -> f32 {
        value as f32
    }
    pub(super) const fn f32_from_u64(value: u64) -> f32 {
        value as f32
    }
    pub(super) const fn f64_from_i64(value: i64) -> f64 {
        value as f64
    }
    pub(super) const fn f64_from_u64(value: u64) -> f64 {
        value as f64
    }
}
use round::{f32_from_f64, f32_from_i64, f32_from_u64, f64_from_i64, f64_from_u64};

const fn same32(value: f32) -> f32 {
    value
}

const fn same64(value: f64) -> f64 {
    value
}

fraction! {
    f32, same32, same32, f32_from_f64, f32_from_i64, f32_from_u64;
    f64, same64, same64, same64, f64_from_i64, f64_from_u64;
    f16, f16::to_f32, f16::from_f32_const, f16::from_f64, |v| f16::from_f64(f64_from_i64(v)), |v| f16::from_f64(f64_from_u64(v));
    bf16, bf16::to_f32, bf16::from_f32_const, bf16::from_f64, |v| bf16::from_f64(f64_from_i64(v)), |v| bf16::from_f64(f64_from_u64(v));
}

impl Float for f32 {
    fn map(self, single: impl Fn(f32) -> f32, _: impl Fn(f64) -> f64) -> Self {
        single(self)
    }
}

impl Float for f64 {
    fn map(self, _: impl Fn(f32) -> f32, double: impl Fn(f64) -> f64) -> Self {
        double(self)
    }
}

impl Float for f16 {
    fn map(self, single: impl Fn(f32) -> f32, _: impl Fn(f64) -> f64) -> Self {
        Self::from_f32(single(self.to_f32()))
    }
}

impl Float for bf16 {
    fn map(self, single: impl Fn(f32) -> f32, _: impl Fn(f64) -> f64) -> Self {
        Self::from_f32(single(self.to_f32()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_become_whole_numbers_as_processors_do_it() {
        let cast = |value: f64| (i64::from_wide(Wide::Float(value)), i32::from_wide(Wide::Float(value)));
        assert_eq!(cast(-1.9), (-1, -1));
        assert_eq!(cast(f64::NAN), (i64::MIN, i32::MIN));
        assert_eq!(cast(1e300), (i64::MIN, i32::MIN));
        assert_eq!(u8::from_wide(Wide::Float(300.0)), 44);
        assert_eq!(u8::from_wide(Wide::Float(-1.0)), 255);
        assert_eq!(u64::from_wide(Wide::Float(1.8e19)), 18_000_000_000_000_000_000);
    }

    #[test]
    fn remainders_have_the_sign_of_the_divisor_or_of_the_dividend() {
        assert_eq!(((-7_i32).modulo(3), (-7_i32).remainder(3), 7_i32.modulo(-3), 7_i32.modulo(0)), (2, -1, -2, 0));
        assert_eq!(((-7.5_f32).modulo(2.0), (-7.5_f32).remainder(2.0)), (0.5, -1.5));
        assert_eq!(7_u8.modulo(4), 3);
        assert_eq!(i32::MIN.div(-1), i32::MIN);
    }

    #[test]
    fn nan_is_less_and_greater_than_all() {
        assert!(1.0_f32.min_nan(f32::NAN).is_nan() && f32::NAN.max_nan(1.0).is_nan());
        assert_eq!((1.0_f32.min_nan(2.0), 1_u8.max_nan(2)), (1.0, 2));
    }
}
