//! Categories to numbers, and one name to another: `LabelEncoder`, `CategoryMapper`, `OneHotEncoder`.

use super::{
    element::{Item, Scalar, Wide, dispatch},
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::{Attributes, Node},
};
use crate::{Error, Result, Tensor, tensor::DType};
use bytes::Bytes;
use std::{collections::HashMap, fmt, hash::Hash};

/// Each key to its value, and what is no key to a default.
pub(super) fn label_encoder(node: &Node<'_>) -> Result<Lowered> {
    let of = node.only()?;
    if node.version() < 2 {
        let attributes = node.attributes(&["classes_strings", "default_int64", "default_string"])?;
        let texts = Tensor::vector(attributes.strings("classes_strings")?.to_vec());
        let numbers = Tensor::vector((0..).take(texts.len()).collect::<Vec<i64>>());
        let (keys, values) = if of.dtype == DType::Bytes { (texts, numbers) } else { (numbers, texts) };
        return lookup(of, &keys, &values, &default(attributes, values.dtype())?, Equality { last: true, nan: false });
    }
    let lists = [
        "default_float",
        "default_int64",
        "default_string",
        "keys_floats",
        "keys_int64s",
        "keys_strings",
        "values_floats",
        "values_int64s",
        "values_strings",
    ];
    let with_tensors = [&lists[..], &["default_tensor", "keys_tensor", "values_tensor"]].concat();
    let attributes = node.attributes(if node.version() < 4 { &lists } else { &with_tensors })?;
    let keys = list(attributes, ["keys_floats", "keys_int64s", "keys_strings"], "keys_tensor")?;
    let values = list(attributes, ["values_floats", "values_int64s", "values_strings"], "values_tensor")?;
    let default = match attributes.tensor("default_tensor")? {
        Some(default) => default,
        None => self::default(attributes, values.dtype())?,
    };
    lookup(of, &keys, &values, &default, Equality { last: false, nan: node.version() >= 4 })
}

/// Text to whole numbers, or whole numbers to text, by two lists of equal length.
pub(super) fn category_mapper(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["cats_int64s", "cats_strings", "default_int64", "default_string"])?;
    let of = node.only()?;
    let numbers = Tensor::vector(attributes.ints("cats_int64s")?.to_vec());
    let texts = Tensor::vector(attributes.strings("cats_strings")?.to_vec());
    let (keys, values) = if of.dtype == DType::Bytes { (texts, numbers) } else { (numbers, texts) };
    let default = default(attributes, values.dtype())?;
    lookup(of, &keys, &values, &default, Equality { last: true, nan: false })
}

fn list(attributes: Attributes<'_>, [floats, ints, strings]: [&str; 3], tensor: &str) -> Result<Tensor> {
    if attributes.has(floats) {
        Ok(Tensor::vector(attributes.floats(floats)?.to_vec()))
    } else if attributes.has(ints) {
        Ok(Tensor::vector(attributes.ints(ints)?.to_vec()))
    } else if attributes.has(strings) {
        Ok(Tensor::vector(attributes.strings(strings)?.to_vec()))
    } else {
        attributes.tensor(tensor)?.ok_or_else(|| Error::corrupt("the operator lacks keys or values"))
    }
}

/// The default of each type of values.
fn default(attributes: Attributes<'_>, of: DType) -> Result<Tensor> {
    let number = |wide: Wide| {
        dispatch!(of, [Int16: i16, Int32: i32, Int64: i64, Fp32: f32, Fp64: f64], T => {
            Tensor::vector(vec![T::from_wide(wide)])
        })
    };
    match of {
        DType::Bytes => {
            let text = attributes.string("default_string")?.unwrap_or(b"_Unused");
            Ok(Tensor::vector(vec![Bytes::copy_from_slice(text)]))
        }
        DType::Fp32 | DType::Fp64 => number(Wide::Float(attributes.float("default_float")?.unwrap_or(-0.0).into())),
        _ => number(Wide::Int(attributes.int("default_int64")?.unwrap_or(-1))),
    }
}

/// What keys are equal.
#[derive(Debug, Clone, Copy)]
struct Equality {
    /// Whether the last of equal keys counts, and not the first.
    last: bool,
    /// Whether NaN is a key.
    nan: bool,
}

fn lookup(of: &Type, keys: &Tensor, values: &Tensor, default: &Tensor, equality: Equality) -> Result<Lowered> {
    let Equality { last, nan } = equality;
    if keys.dtype() != of.dtype {
        return Err(Error::corrupt("the keys are of another type than the input")
            .with("keys", keys.dtype())
            .with("input", of.dtype));
    }
    if keys.len() != values.len() || default.dtype() != values.dtype() || default.len() != 1 {
        return Err(Error::corrupt("keys, values and default do not fit together")
            .with("keys", keys.len())
            .with("values", values.len()));
    }
    let output = Type::new(values.dtype(), of.shape.clone());
    macro_rules! step {
        ($key:ty, $value:ty) => {{
            let mut map = HashMap::with_capacity(keys.len());
            for (key, value) in keys.values::<$key>()?.iter().zip(values.values::<$value>()?) {
                let Some(key) = key.key(nan) else { continue };
                if last {
                    map.insert(key, value.clone());
                } else {
                    map.entry(key).or_insert_with(|| value.clone());
                }
            }
            let default = default.values::<$value>()?[0].clone();
            Ok(Lowered::step(Lookup::<$key, $value> { map, default, nan }, [output]))
        }};
    }
    macro_rules! by_value {
        ($key:ty) => {
            match values.dtype() {
                DType::Bytes => step!($key, Bytes),
                DType::Int16 => step!($key, i16),
                DType::Int32 => step!($key, i32),
                DType::Int64 => step!($key, i64),
                DType::Fp32 => step!($key, f32),
                DType::Fp64 => step!($key, f64),
                other => Err(super::element::unsupported(other)),
            }
        };
    }
    match keys.dtype() {
        DType::Bytes => by_value!(Bytes),
        DType::Int16 => by_value!(i16),
        DType::Int32 => by_value!(i32),
        DType::Int64 => by_value!(i64),
        DType::Fp32 => by_value!(f32),
        DType::Fp64 => by_value!(f64),
        other => Err(super::element::unsupported(other)),
    }
}

/// An element as a key of a map.
trait Keyed: Item {
    type Key: Eq + Hash + fmt::Debug + Send + Sync;

    /// None for NaN, unless it is to be equal to itself.
    fn key(&self, nan: bool) -> Option<Self::Key>;
}

macro_rules! keyed {
    ($($type:ty),*) => {$(
        impl Keyed for $type {
            type Key = Self;

            fn key(&self, _: bool) -> Option<Self> {
                Some(self.clone())
            }
        }
    )*};
}

keyed!(Bytes, i16, i32, i64);

macro_rules! keyed_by_bits {
    ($($type:ty, $bits:ty);*) => {$(
        impl Keyed for $type {
            type Key = $bits;

            fn key(&self, nan: bool) -> Option<$bits> {
                // Both zeros are one key, and so is every NaN.
                match *self {
                    value if value.is_nan() => nan.then_some(Self::NAN.to_bits()),
                    value => Some((value + 0.0).to_bits()),
                }
            }
        }
    )*};
}

keyed_by_bits!(f32, u32; f64, u64);

#[derive(Debug)]
struct Lookup<K: Keyed, V> {
    map: HashMap<K::Key, V>,
    default: V,
    nan: bool,
}

impl<K: Keyed, V: Item + Send + Sync> Kernel for Lookup<K, V> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<V>(outputs[0]);
        let find = |key: &K| key.key(self.nan).and_then(|key| self.map.get(&key)).unwrap_or(&self.default).clone();
        out.extend(frame.values::<K>(inputs[0]).iter().map(find));
        frame.put(outputs[0], out);
        Ok(())
    }
}

/// One column a category, one where the category is; a dimension of its own at the end.
pub(super) fn one_hot_encoder(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["cats_int64s", "cats_strings", "zeros"])?;
    let of = node.only()?;
    let (ints, strings) = (attributes.ints("cats_int64s")?, attributes.strings("cats_strings")?);
    // Anything but zero lets an unknown category be a row of zeros.
    let zeros = attributes.flag("zeros", true)?;
    let width = ints.len().max(strings.len());
    if ints.is_empty() == strings.is_empty() {
        return Err(Error::corrupt("the operator takes categories of one type"));
    }
    let mut shape = of.shape.clone();
    shape.push(Length::fixed(width));
    let outputs = [Type::new(DType::Fp32, shape)];
    match of.dtype {
        DType::Bytes if ints.is_empty() => {
            let kernel = OneHotEncoder { columns: index(strings), width, zeros, key: Bytes::clone };
            Ok(Lowered::step(kernel, outputs))
        }
        // Fractions are cut to whole numbers.
        other if strings.is_empty() => dispatch!(other, [Int32: i32, Int64: i64, Fp32: f32, Fp64: f64], T => {
            let key: fn(&T) -> i64 = |value| i64::from_wide(value.wide());
            Lowered::step(OneHotEncoder { columns: index(ints), width, zeros, key }, outputs)
        }),
        _ => Err(Error::corrupt("the categories are of another type than the input")),
    }
}

/// The column of each category; as in ONNX Runtime, the last of two equal ones counts.
fn index<K: Clone + Eq + Hash>(categories: &[K]) -> HashMap<K, usize> {
    categories.iter().cloned().zip(0..).collect()
}

#[derive(Debug)]
struct OneHotEncoder<T, K> {
    columns: HashMap<K, usize>,
    width: usize,
    /// Whether an unknown category is a row of zeros, and no error.
    zeros: bool,
    key: fn(&T) -> K,
}

impl<T: Item, K: Eq + Hash + fmt::Debug + Send + Sync> Kernel for OneHotEncoder<T, K> {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take_cleared::<f32>(outputs[0]);
        let values = frame.values::<T>(inputs[0]);
        out.resize(values.len() * self.width, 0.0);
        for (row, value) in values.iter().enumerate() {
            match self.columns.get(&(self.key)(value)) {
                Some(column) => out[row * self.width + column] = 1.0,
                None if self.zeros => {}
                None => {
                    return Err(Error::invalid_input("a category is unknown to the model").with("row", row));
                }
            }
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}
