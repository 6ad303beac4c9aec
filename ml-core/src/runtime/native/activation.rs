//! Activations of neural nets: `Relu`, `Sigmoid`, `Gelu`, `Clip` and their like.

use super::{
    element::{Float, Number, for_floats, for_numbers},
    function::{both, erf, erf_f32, map},
    kernel::{Frame, Kernel, Lowered, Slot},
    node::Node,
};
use crate::{Error, Result, tensor::Element};
use std::marker::PhantomData;

/// The logistic function in single precision. Away from zero it is closer to the true value than ONNX Runtime, whose
/// rational approximation is within 6e-8 absolute.
pub(super) fn logistic(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// An activation without attributes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Activation {
    HardSwish,
    Mish,
    Relu,
    Sigmoid,
    Softplus,
    Softsign,
}

pub(super) fn activation(node: &Node<'_>, activation: Activation) -> Result<Lowered> {
    node.attributes(&[])?;
    let of = node.only()?;
    macro_rules! formula {
        ($x:ident => $formula:expr) => {
            both(of, |$x: f32| $formula, |$x: f64| $formula)
        };
    }
    match activation {
        Activation::HardSwish => formula!(x => x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        // Beyond 20 the logarithm is its argument to the last digit.
        Activation::Mish => formula!(x => x * (if x > 20.0 { x } else { x.exp().ln_1p() }).tanh()),
        Activation::Relu => {
            for_numbers!(of.dtype, T => map(of, |x: T| if x < T::default() { T::default() } else { x }))
        }
        Activation::Sigmoid => both(of, logistic, |x: f64| 1.0 / (1.0 + (-x).exp())),
        Activation::Softplus => formula!(x => x.max(0.0) + (-x.abs()).exp().ln_1p()),
        Activation::Softsign => formula!(x => x / (1.0 + x.abs())),
    }
}

/// An activation with an `alpha`, and some with a second attribute.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shaped {
    Celu,
    Elu,
    HardSigmoid,
    LeakyRelu,
    Selu,
    Shrink,
    Swish,
    ThresholdedRelu,
}

pub(super) fn shaped(node: &Node<'_>, shaped: Shaped) -> Result<Lowered> {
    let (first, second) = match shaped {
        Shaped::Celu | Shaped::Elu | Shaped::Swish | Shaped::ThresholdedRelu => (("alpha", 1.0), None),
        Shaped::HardSigmoid => (("alpha", 0.2), Some(("beta", 0.5))),
        Shaped::LeakyRelu => (("alpha", 0.01), None),
        Shaped::Selu => (("alpha", 1.673_263_2), Some(("gamma", 1.050_701))),
        Shaped::Shrink => (("lambd", 0.5), Some(("bias", 0.0))),
    };
    let attributes = match second {
        Some((second, _)) => node.attributes(&[first.0, second])?,
        None => node.attributes(&[first.0])?,
    };
    let a = attributes.float(first.0)?.unwrap_or(first.1);
    let b = match second {
        Some((name, default)) => attributes.float(name)?.unwrap_or(default),
        None => 0.0,
    };
    let of = node.only()?;
    macro_rules! formula {
        ($x:ident, $a:ident $(, $b:ident)? => $formula:expr) => {{
            let single = move |$x: f32| {
                let $a = a;
                $(let $b = b;)?
                $formula
            };
            let double = move |$x: f64| {
                let $a = f64::from(a);
                $(let $b = f64::from(b);)?
                $formula
            };
            both(of, single, double)
        }};
    }
    match shaped {
        Shaped::Celu => formula!(x, a => x.max(0.0) + (a * (x / a).exp_m1()).min(0.0)),
        Shaped::Elu => formula!(x, a => if x < 0.0 { a * x.exp_m1() } else { x }),
        Shaped::HardSigmoid => formula!(x, a, b => (a * x + b).clamp(0.0, 1.0)),
        Shaped::LeakyRelu => formula!(x, a => if x < 0.0 { a * x } else { x }),
        Shaped::Selu => formula!(x, a, b => b * if x > 0.0 { x } else { a * x.exp_m1() }),
        Shaped::Shrink => {
            formula!(x, a, b => if x < -a { x + b } else if x > a { x - b } else { 0.0 })
        }
        Shaped::Swish => formula!(x, a => x / (1.0 + (-a * x).exp())),
        Shaped::ThresholdedRelu => formula!(x, a => if x > a { x } else { 0.0 }),
    }
}

/// By the error function, or by its approximation with the hyperbolic tangent.
pub(super) fn gelu(node: &Node<'_>) -> Result<Lowered> {
    let by_tanh = match node.attributes(&["approximate"])?.string("approximate")? {
        None | Some(b"none") => false,
        Some(b"tanh") => true,
        Some(other) => {
            return Err(Error::corrupt("there is no such approximation").with("approximate", other.escape_ascii()));
        }
    };
    let of = node.only()?;
    macro_rules! tanh {
        ($x:ident, $factor:expr) => {
            0.5 * $x * (1.0 + ($factor * ($x + 0.044_715 * $x * $x * $x)).tanh())
        };
    }
    if by_tanh {
        const FACTOR: f64 = 0.797_884_560_802_865_4;
        both(of, |x: f32| tanh!(x, 0.797_884_6_f32), |x: f64| tanh!(x, FACTOR))
    } else {
        both(
            of,
            |x| 0.5 * x * (1.0 + erf_f32(x * std::f32::consts::FRAC_1_SQRT_2)),
            |x| 0.5 * x * (1.0 + erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        )
    }
}

/// Within bounds, which are inputs; before version 11 of the operator set they are attributes.
pub(super) fn clip(node: &Node<'_>) -> Result<Lowered> {
    if node.version() < 11 {
        let attributes = node.attributes(&["max", "min"])?;
        let min = attributes.float("min")?.unwrap_or(f32::MIN);
        let max = attributes.float("max")?.unwrap_or(f32::MAX);
        let of = node.only()?;
        return for_floats!(of.dtype, T => map(of, move |x: T| {
            x.map(|x| if x < min { min } else { x }, |x| if x < min.into() { min.into() } else { x })
                .map(|x| if x > max { max } else { x }, |x| if x > max.into() { max.into() } else { x })
        }));
    }
    node.attributes(&[])?;
    node.at_most(3)?;
    let of = &node.require(0)?.of;
    for bound in [node.input(1), node.input(2)].into_iter().flatten() {
        if bound.of.dtype != of.dtype || bound.of.len()?.known() != Some(1) {
            return Err(Error::corrupt("a bound is a single number of the type of the input").with("got", &bound.of));
        }
    }
    let (min, max) = (node.input(1).is_some(), node.input(2).is_some());
    // The input is read where it is, so that the bounds may be of any call.
    for_numbers!(of.dtype, T => Lowered::step(Clip::<T> { min, max, of: PhantomData }, [of.clone()]))
}

#[derive(Debug)]
struct Clip<T> {
    min: bool,
    max: bool,
    of: PhantomData<fn(T) -> T>,
}

impl<T: Number> Kernel for Clip<T> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<T>(outputs[0]);
        let bound = |frame: &Frame<'_>, at: usize| first::<T>(frame.values(inputs[at]));
        let min = if self.min { bound(frame, 1)? } else { T::LOWEST };
        let max = if self.max { bound(frame, 1 + usize::from(self.min))? } else { T::HIGHEST };
        // Where the bounds cross, the upper one wins; NaN stays.
        let clip = |&x: &T| {
            let above = if x < min { min } else { x };
            if above > max { max } else { above }
        };
        out.extend(frame.values(inputs[0]).iter().map(clip));
        frame.put(outputs[0], out);
        Ok(())
    }
}

fn first<T: Element + Copy>(values: &[T]) -> Result<T> {
    values.first().copied().ok_or_else(|| Error::internal("a single number is none"))
}
