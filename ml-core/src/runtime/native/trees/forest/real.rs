//! The numbers that ensembles compare and sum: single or double precision.

use super::layout::Layout;
use std::{
    fmt,
    ops::{AddAssign, DivAssign},
};

pub(in super::super) trait Real:
    Copy + Default + PartialOrd + AddAssign + DivAssign + fmt::Debug + Send + Sync + 'static
{
    const NAN: Self;
    const HALF: Self;
    fn is_nan(self) -> bool;
    fn is_finite(self) -> bool;
    /// The next number below.
    fn next_down(self) -> Self;
    fn of_count(count: usize) -> Self;
    /// What is said of single precision alone, where this is it.
    fn single_layout(layout: &Layout<Self>) -> Option<&Layout<f32>>;
    fn singles(values: &[Self]) -> Option<&[f32]>;
    fn singles_mut(values: &mut [Self]) -> Option<&mut [f32]>;
}

macro_rules! real {
    ($real:ty, $($of:ident($argument:ty) -> $result:ty = $body:expr;)*) => {
        impl Real for $real {
            const NAN: Self = <$real>::NAN;
            const HALF: Self = 0.5;
            fn is_nan(self) -> bool {
                self.is_nan()
            }
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn next_down(self) -> Self {
                self.next_down()
            }
            #[expect(clippy::cast_precision_loss, reason = "more trees than 2^24 are no ensemble")]
            fn of_count(count: usize) -> Self {
                count as Self
            }
            $(fn $of(given: $argument) -> $result {
                let body: fn($argument) -> $result = $body;
                body(given)
            })*
        }
    };
}

real!(f32,
    single_layout(&Layout<f32>) -> Option<&Layout<f32>> = |layout| Some(layout);
    singles(&[f32]) -> Option<&[f32]> = |values| Some(values);
    singles_mut(&mut [f32]) -> Option<&mut [f32]> = |values| Some(values);
);
real!(f64,
    single_layout(&Layout<f64>) -> Option<&Layout<f32>> = |_| None;
    singles(&[f64]) -> Option<&[f32]> = |_| None;
    singles_mut(&mut [f64]) -> Option<&mut [f32]> = |_| None;
);
