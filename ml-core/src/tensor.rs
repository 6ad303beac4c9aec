//! Tensors by name: what goes into a model and what comes out.

pub mod json;

use crate::{Error, Result};
use bytes::Bytes;
use half::{bf16, f16};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The element types of the Open Inference Protocol, under its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum DType {
    /// True or false.
    Bool,
    /// Unsigned 8 bits.
    Uint8,
    /// Unsigned 16 bits.
    Uint16,
    /// Unsigned 32 bits.
    Uint32,
    /// Unsigned 64 bits.
    Uint64,
    /// Signed 8 bits.
    Int8,
    /// Signed 16 bits.
    Int16,
    /// Signed 32 bits.
    Int32,
    /// Signed 64 bits.
    Int64,
    /// IEEE 754 binary16.
    Fp16,
    /// IEEE 754 binary32.
    Fp32,
    /// IEEE 754 binary64.
    Fp64,
    /// The upper half of an IEEE 754 binary32.
    Bf16,
    /// Byte strings of any length; text is UTF-8.
    Bytes,
}

impl DType {
    /// Every element type.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Fp16,
        Self::Fp32,
        Self::Fp64,
        Self::Bf16,
        Self::Bytes,
    ];

    /// The name on the wire, such as `FP32`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp16 => "FP16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bf16 => "BF16",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes an element takes, where it is fixed.
    #[must_use]
    pub const fn size_bytes(self) -> Option<usize> {
        Some(match self {
            Self::Bool | Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 | Self::Fp16 | Self::Bf16 => 2,
            Self::Uint32 | Self::Int32 | Self::Fp32 => 4,
            Self::Uint64 | Self::Int64 | Self::Fp64 => 8,
            Self::Bytes => return None,
        })
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for DType {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|dtype| dtype.name() == text)
            .ok_or_else(|| Error::invalid_input("no such element type").with("datatype", text.escape_debug()))
    }
}

/// The elements of a tensor, one variant an element type.
///
/// Matching on it is how code that serves every type (a wire, a runtime) reaches the elements;
/// code that knows the type uses [`Tensor::values`].
#[derive(Debug, Clone, PartialEq)]
pub enum TensorData {
    /// `BOOL`.
    Bool(Vec<bool>),
    /// `UINT8`.
    Uint8(Vec<u8>),
    /// `UINT16`.
    Uint16(Vec<u16>),
    /// `UINT32`.
    Uint32(Vec<u32>),
    /// `UINT64`.
    Uint64(Vec<u64>),
    /// `INT8`.
    Int8(Vec<i8>),
    /// `INT16`.
    Int16(Vec<i16>),
    /// `INT32`.
    Int32(Vec<i32>),
    /// `INT64`.
    Int64(Vec<i64>),
    /// `FP16`.
    Fp16(Vec<f16>),
    /// `FP32`.
    Fp32(Vec<f32>),
    /// `FP64`.
    Fp64(Vec<f64>),
    /// `BF16`.
    Bf16(Vec<bf16>),
    /// `BYTES`.
    Bytes(Vec<Bytes>),
}

/// A Rust type that tensors hold. Implemented for the fourteen element types and for nothing else.
pub trait Element: Clone + Default + sealed::Sealed + 'static {
    /// The element type on the wire.
    const DTYPE: DType;
    #[doc(hidden)]
    fn wrap(values: Vec<Self>) -> TensorData;
    #[doc(hidden)]
    fn borrow(data: &TensorData) -> Option<&[Self]>;
    #[doc(hidden)]
    fn take(data: TensorData) -> Option<Vec<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! elements {
    ($($variant:ident => $type:ty),* $(,)?) => {
        $(
            impl sealed::Sealed for $type {}
            impl Element for $type {
                const DTYPE: DType = DType::$variant;
                fn wrap(values: Vec<Self>) -> TensorData {
                    TensorData::$variant(values)
                }
                fn borrow(data: &TensorData) -> Option<&[Self]> {
                    if let TensorData::$variant(values) = data { Some(values) } else { None }
                }
                fn take(data: TensorData) -> Option<Vec<Self>> {
                    if let TensorData::$variant(values) = data { Some(values) } else { None }
                }
            }
        )*

        impl TensorData {
            /// So many zeros; for `BOOL` false, for `BYTES` empty.
            ///
            /// ```
            /// use ml_core::tensor::{DType, TensorData};
            ///
            /// assert_eq!(TensorData::zeros(DType::Bool, 2), TensorData::Bool(vec![false, false]));
            /// ```
            #[must_use]
            pub fn zeros(dtype: DType, count: usize) -> Self {
                match dtype { $(DType::$variant => Self::$variant(vec![<$type>::default(); count]),)* }
            }

            /// The element type.
            #[must_use]
            pub fn dtype(&self) -> DType {
                match self { $(Self::$variant(_) => DType::$variant,)* }
            }

            /// The number of elements.
            #[must_use]
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(values) => values.len(),)* }
            }

            /// Whether there are no elements.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> Self {
                match self { $(Self::$variant(values) => Self::$variant(values[range].to_vec()),)* }
            }

            /// Adds the elements of another tensor, which are of the same type.
            pub(crate) fn append(&mut self, other: Self) {
                match (self, other) {
                    $((Self::$variant(values), Self::$variant(other)) => values.extend(other),)*
                    (data, other) => debug_assert_eq!(data.dtype(), other.dtype()),
                }
            }
        }
    };
}

elements! {
    Bool => bool,
    Uint8 => u8,
    Uint16 => u16,
    Uint32 => u32,
    Uint64 => u64,
    Int8 => i8,
    Int16 => i16,
    Int32 => i32,
    Int64 => i64,
    Fp16 => f16,
    Fp32 => f32,
    Fp64 => f64,
    Bf16 => bf16,
    Bytes => Bytes,
}

/// Elements of one type in row-major order, with a shape.
///
/// ```
/// use ml_core::tensor::{DType, Tensor};
///
/// let tensor = Tensor::new([2, 3], vec![1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// assert_eq!(tensor.dtype(), DType::Fp32);
/// assert_eq!(tensor.values::<f32>()?[4], 5.0);
/// assert!(Tensor::new([2, 2], vec![1_i64]).is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: TensorData,
}

impl Tensor {
    /// Makes a tensor of values in row-major order.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the number of values is not the product of the shape.
    pub fn new<T: Element>(shape: impl Into<Vec<usize>>, values: Vec<T>) -> Result<Self> {
        Self::from_data(shape, T::wrap(values))
    }

    /// Makes a tensor of elements whose type is known only at run time.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_data(shape: impl Into<Vec<usize>>, data: TensorData) -> Result<Self> {
        let shape = shape.into();
        let expected = element_count(&shape)?;
        if data.len() != expected {
            return Err(Error::invalid_input("element count does not match the shape")
                .with("shape", format!("{shape:?}"))
                .with("expected", expected)
                .with("got", data.len()));
        }
        Ok(Self { shape, data })
    }

    /// A column: shape `(n, 1)`.
    #[must_use]
    pub fn column<T: Element>(values: Vec<T>) -> Self {
        Self { shape: vec![values.len(), 1], data: T::wrap(values) }
    }

    /// A vector: shape `(n,)`.
    #[must_use]
    pub fn vector<T: Element>(values: Vec<T>) -> Self {
        Self { shape: vec![values.len()], data: T::wrap(values) }
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The lengths of the dimensions, outermost first.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The length of the first dimension; 1 for a scalar.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// The elements, for code that serves every type.
    #[must_use]
    pub fn data(&self) -> &TensorData {
        &self.data
    }

    /// The elements, for code that knows their type.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when they are of another type.
    pub fn values<T: Element>(&self) -> Result<&[T]> {
        T::borrow(&self.data).ok_or_else(|| wrong_dtype(T::DTYPE, self.dtype()))
    }

    /// Takes the elements out.
    ///
    /// # Errors
    /// As [`Tensor::values`].
    pub fn into_values<T: Element>(self) -> Result<Vec<T>> {
        let got = self.dtype();
        T::take(self.data).ok_or_else(|| wrong_dtype(T::DTYPE, got))
    }

    /// Takes shape and elements out.
    #[must_use]
    pub fn into_parts(self) -> (Vec<usize>, TensorData) {
        (self.shape, self.data)
    }

    /// Copies some rows: a range of the first dimension.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the range is not within the rows, or the tensor is a scalar.
    pub fn slice_rows(&self, range: std::ops::Range<usize>) -> Result<Self> {
        if self.shape.is_empty() || range.start > range.end || range.end > self.rows() {
            return Err(Error::invalid_input("no such rows")
                .with("rows", self.rows())
                .with("range", format!("{range:?}")));
        }
        let width: usize = self.shape[1..].iter().product();
        let mut shape = self.shape.clone();
        shape[0] = range.len();
        Ok(Self { shape, data: self.data.slice(range.start * width..range.end * width) })
    }
}

/// Tensors by name, in the order they were added.
///
/// ```
/// use ml_core::{Tensor, Tensors};
///
/// let inputs = Tensors::new().with("age", Tensor::column(vec![31.0_f32, 64.0]))?;
/// assert_eq!(inputs.require("age")?.rows(), 2);
/// assert!(inputs.require("income").is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tensors(Vec<(String, Tensor)>);

impl Tensors {
    /// No tensors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the name is there already.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Result<()> {
        let name = name.into();
        if self.get(&name).is_some() {
            return Err(Error::invalid_input("two tensors have one name").with("tensor", name));
        }
        self.0.push((name, tensor));
        Ok(())
    }

    /// [`Tensors::insert`] for a chain.
    ///
    /// # Errors
    /// As [`Tensors::insert`].
    pub fn with(mut self, name: impl Into<String>, tensor: Tensor) -> Result<Self> {
        self.insert(name, tensor)?;
        Ok(self)
    }

    /// The tensor of this name, if it is there.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor)
    }

    /// The tensor of this name.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it is not there.
    pub fn require(&self, name: &str) -> Result<&Tensor> {
        self.get(name).ok_or_else(|| Error::invalid_input("a tensor is missing").with("tensor", name))
    }

    /// Takes a tensor out.
    pub fn remove(&mut self, name: &str) -> Option<Tensor> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Names and tensors, in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows of the first tensor: the size of the batch. Zero when there are no tensors.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.first().map_or(0, |(_, tensor)| tensor.rows())
    }

    /// Copies some rows of every tensor.
    ///
    /// # Errors
    /// As [`Tensor::slice_rows`].
    pub fn slice_rows(&self, range: std::ops::Range<usize>) -> Result<Self> {
        self.0
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), tensor.slice_rows(range.clone())?)))
            .collect::<Result<_>>()
            .map(Self)
    }
}

impl IntoIterator for Tensors {
    type Item = (String, Tensor);
    type IntoIter = std::vec::IntoIter<(String, Tensor)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The product of a shape.
///
/// # Errors
/// [`InvalidInput`](crate::ErrorKind::InvalidInput) when it is larger than memory can address.
pub fn element_count(shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1_usize, |count, &dim| count.checked_mul(dim))
        .ok_or_else(|| Error::invalid_input("the shape is too large").with("shape", format!("{shape:?}")))
}

fn wrong_dtype(expected: DType, got: DType) -> Error {
    Error::invalid_input("a tensor has another element type").with("expected", expected).with("got", got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_types_print_and_parse_under_their_wire_names() {
        for dtype in DType::ALL {
            assert_eq!(dtype.name().parse::<DType>().expect("own name"), dtype);
            assert_eq!(serde_json::to_value(dtype).expect("json"), dtype.name());
        }
        assert!("fp32".parse::<DType>().is_err());
    }

    #[test]
    fn an_overflowing_shape_is_refused_before_any_allocation() {
        assert!(Tensor::new([usize::MAX, 2], Vec::<f32>::new()).is_err());
    }

    #[test]
    fn rows_are_copied_with_their_width() {
        let tensor = Tensor::new([3, 2], vec![1_i64, 2, 3, 4, 5, 6]).expect("shape");
        assert_eq!(tensor.slice_rows(1..3).expect("rows"), Tensor::new([2, 2], vec![3_i64, 4, 5, 6]).expect("shape"));
        assert!(tensor.slice_rows(2..4).is_err());
    }
}
