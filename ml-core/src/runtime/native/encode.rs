//! Categories to numbers: `LabelEncoder`, `OneHotEncoder`.

use super::{
    kernel::{Frame, Kernel, Lowered, Slot},
    length::{Length, Type},
    node::Node,
};
use crate::{Error, Result, tensor::DType};
use bytes::Bytes;
use std::{collections::HashMap, hash::Hash};

/// Text to whole numbers; text that is no key gets the default.
pub(super) fn label_encoder(node: &Node<'_>) -> Result<Lowered> {
    let attributes =
        node.attributes(&["keys_strings", "values_int64s", "default_int64", "default_string", "default_float"])?;
    let of = node.only()?;
    let keys = attributes.strings("keys_strings")?;
    let values = attributes.ints("values_int64s")?;
    if of.dtype != DType::Bytes || keys.is_empty() || values.is_empty() {
        return Err(Error::unsupported("the native runtime encodes only text to whole numbers"));
    }
    if keys.len() != values.len() {
        return Err(Error::corrupt("keys and values have different lengths"));
    }
    let mut codes = HashMap::with_capacity(keys.len());
    for (key, &value) in keys.iter().zip(values) {
        // As in ONNX Runtime, the first of two equal keys counts.
        codes.entry(key.clone()).or_insert(value);
    }
    let default = attributes.int("default_int64")?.unwrap_or(-1);
    let outputs = [Type::new(DType::Int64, of.shape.clone())];
    Ok(Lowered::step(LabelEncoder { codes, default }, outputs))
}

/// One column a category, one where the category is; a dimension of its own at the end.
pub(super) fn one_hot_encoder(node: &Node<'_>) -> Result<Lowered> {
    let attributes = node.attributes(&["cats_int64s", "cats_strings", "zeros"])?;
    let of = node.only()?;
    let ints = attributes.ints("cats_int64s")?;
    let strings = attributes.strings("cats_strings")?;
    // Anything but zero lets an unknown category be a row of zeros.
    let unknown_is_zeros = attributes.int("zeros")?.unwrap_or(1) != 0;
    let (categories, width) = match of.dtype {
        DType::Int64 if strings.is_empty() => (Categories::Ints(index(ints)), ints.len()),
        DType::Bytes if ints.is_empty() => (Categories::Strings(index(strings)), strings.len()),
        _ => return Err(Error::unsupported("the native runtime encodes only categories of the type of the input")),
    };
    let mut shape = of.shape.clone();
    shape.push(Length::fixed(width));
    let kernel = OneHotEncoder { categories, width, unknown_is_zeros };
    Ok(Lowered::step(kernel, [Type::new(DType::Fp32, shape)]))
}

/// The column of each category; as in ONNX Runtime, the last of two equal ones counts.
fn index<K: Clone + Eq + Hash>(categories: &[K]) -> HashMap<K, usize> {
    categories.iter().cloned().zip(0..).collect()
}

#[derive(Debug)]
struct LabelEncoder {
    codes: HashMap<Bytes, i64>,
    default: i64,
}

impl Kernel for LabelEncoder {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut codes = frame.take(outputs[0]);
        codes.clear();
        let code = |key: &Bytes| self.codes.get(key).copied().unwrap_or(self.default);
        codes.extend(frame.values(inputs[0]).iter().map(code));
        frame.put(outputs[0], codes);
        Ok(())
    }
}

#[derive(Debug)]
enum Categories {
    Ints(HashMap<i64, usize>),
    Strings(HashMap<Bytes, usize>),
}

#[derive(Debug)]
struct OneHotEncoder {
    categories: Categories,
    width: usize,
    unknown_is_zeros: bool,
}

impl OneHotEncoder {
    fn encode<K: Eq + Hash>(&self, keys: &[K], columns: &HashMap<K, usize>, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        out.resize(keys.len() * self.width, 0.0);
        for (row, key) in keys.iter().enumerate() {
            match columns.get(key) {
                Some(column) => out[row * self.width + column] = 1.0,
                None if self.unknown_is_zeros => {}
                None => {
                    return Err(Error::invalid_input("a category is unknown to the model").with("row", row));
                }
            }
        }
        Ok(())
    }
}

impl Kernel for OneHotEncoder {
    fn run(&self, frame: &mut Frame<'_>, inputs: &[Slot], outputs: &[Slot]) -> Result<()> {
        let mut out = frame.take(outputs[0]);
        match &self.categories {
            Categories::Ints(columns) => self.encode(frame.values(inputs[0]), columns, &mut out)?,
            Categories::Strings(columns) => self.encode(frame.values(inputs[0]), columns, &mut out)?,
        }
        frame.put(outputs[0], out);
        Ok(())
    }
}
