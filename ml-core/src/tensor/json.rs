//! Tensors as JSON in the form of the Open Inference Protocol v2: name, shape, datatype and a flat or nested array.
//!
//! JSON has no NaN and no infinities; they are written and read as the strings `"NaN"`, `"Infinity"` and `"-Infinity"`.

use super::{DType, Tensor, TensorData};
use crate::{Error, Result};
use bytes::Bytes;
use half::{bf16, f16};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor},
    ser::{Error as _, SerializeSeq, SerializeStruct, Serializer},
};
use serde_json::value::RawValue;
use std::{fmt, marker::PhantomData};

/// A named tensor to be written as JSON.
///
/// ```
/// use ml_core::{Tensor, tensor::json::{ReadTensor, WriteTensor}};
///
/// let tensor = Tensor::column(vec![0.5_f32, f32::NAN]);
/// let json = serde_json::to_string(&WriteTensor { name: "x", tensor: &tensor }).unwrap();
/// assert_eq!(json, r#"{"name":"x","shape":[2,1],"datatype":"FP32","data":[0.5,"NaN"]}"#);
///
/// let read: ReadTensor = serde_json::from_str(&json).unwrap();
/// assert_eq!(read.to_tensor()?.shape(), [2, 1]);
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct WriteTensor<'a> {
    /// The name.
    pub name: &'a str,
    /// The tensor.
    pub tensor: &'a Tensor,
}

impl Serialize for WriteTensor<'_> {
    /// Fails when a `BYTES` element is not UTF-8: JSON cannot carry it.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Tensor", 4)?;
        object.serialize_field("name", self.name)?;
        object.serialize_field("shape", self.tensor.shape())?;
        object.serialize_field("datatype", &self.tensor.dtype())?;
        object.serialize_field("data", &Elements(self.tensor.data()))?;
        object.end()
    }
}

struct Elements<'a>(&'a TensorData);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            TensorData::Bool(values) => values.serialize(serializer),
            TensorData::Uint8(values) => values.serialize(serializer),
            TensorData::Uint16(values) => values.serialize(serializer),
            TensorData::Uint32(values) => values.serialize(serializer),
            TensorData::Uint64(values) => values.serialize(serializer),
            TensorData::Int8(values) => values.serialize(serializer),
            TensorData::Int16(values) => values.serialize(serializer),
            TensorData::Int32(values) => values.serialize(serializer),
            TensorData::Int64(values) => values.serialize(serializer),
            // Half floats are exact as single floats, and shorter to read than as doubles.
            TensorData::Fp16(values) => serializer.collect_seq(values.iter().map(|v| Float32(v.to_f32()))),
            TensorData::Bf16(values) => serializer.collect_seq(values.iter().map(|v| Float32(v.to_f32()))),
            TensorData::Fp32(values) => serializer.collect_seq(values.iter().map(|&v| Float32(v))),
            TensorData::Fp64(values) => serializer.collect_seq(values.iter().map(|&v| Float64(v))),
            TensorData::Bytes(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(
                        std::str::from_utf8(value)
                            .map_err(|_| S::Error::custom("JSON cannot carry bytes that are not UTF-8"))?,
                    )?;
                }
                seq.end()
            }
        }
    }
}

macro_rules! float {
    ($name:ident, $type:ty, $serialize:ident) => {
        struct $name($type);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                if self.0.is_finite() {
                    serializer.$serialize(self.0)
                } else if self.0.is_nan() {
                    serializer.serialize_str("NaN")
                } else {
                    serializer.serialize_str(if self.0 > 0.0 { "Infinity" } else { "-Infinity" })
                }
            }
        }
    };
}

float!(Float32, f32, serialize_f32);
float!(Float64, f64, serialize_f64);

/// A named tensor as read from JSON. The elements stay text until [`ReadTensor::to_tensor`] knows their type,
/// since `datatype` may follow `data`.
#[derive(Debug, Deserialize)]
pub struct ReadTensor<'a> {
    /// The name.
    pub name: String,
    /// The lengths of the dimensions.
    pub shape: Vec<usize>,
    /// The element type.
    pub datatype: String,
    /// The elements, flat or nested in row-major order.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

impl ReadTensor<'_> {
    /// Reads the elements.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), naming the tensor, for an unknown type, elements of another type or number.
    pub fn to_tensor(&self) -> Result<Tensor> {
        self.read().map_err(|error| error.with("tensor", self.name.escape_debug()))
    }

    fn read(&self) -> Result<Tensor> {
        let dtype: DType = self.datatype.parse()?;
        let expected = super::element_count(&self.shape)?;
        let json = self.data.ok_or_else(|| Error::invalid_input("a tensor has no data"))?.get();
        let data = match dtype {
            DType::Bool => TensorData::Bool(elements(json, expected)?),
            DType::Uint8 => TensorData::Uint8(elements(json, expected)?),
            DType::Uint16 => TensorData::Uint16(elements(json, expected)?),
            DType::Uint32 => TensorData::Uint32(elements(json, expected)?),
            DType::Uint64 => TensorData::Uint64(elements(json, expected)?),
            DType::Int8 => TensorData::Int8(elements(json, expected)?),
            DType::Int16 => TensorData::Int16(elements(json, expected)?),
            DType::Int32 => TensorData::Int32(elements(json, expected)?),
            DType::Int64 => TensorData::Int64(elements(json, expected)?),
            DType::Fp16 => TensorData::Fp16(
                elements::<AnyFloat>(json, expected)?.into_iter().map(|v| f16::from_f64(v.0)).collect(),
            ),
            DType::Bf16 => TensorData::Bf16(
                elements::<AnyFloat>(json, expected)?.into_iter().map(|v| bf16::from_f64(v.0)).collect(),
            ),
            #[expect(clippy::cast_possible_truncation, reason = "FP32 is what the caller asked for")]
            DType::Fp32 => {
                TensorData::Fp32(elements::<AnyFloat>(json, expected)?.into_iter().map(|v| v.0 as f32).collect())
            }
            DType::Fp64 => TensorData::Fp64(elements::<AnyFloat>(json, expected)?.into_iter().map(|v| v.0).collect()),
            DType::Bytes => {
                TensorData::Bytes(elements::<String>(json, expected)?.into_iter().map(Bytes::from).collect())
            }
        };
        Tensor::from_data(self.shape.clone(), data)
    }
}

/// A number, or the name of one that JSON has not.
struct AnyFloat(f64);

impl<'de> Deserialize<'de> for AnyFloat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Float;
        #[expect(
            clippy::cast_precision_loss,
            reason = "an integer too long for a double is rounded, as every JSON reader does"
        )]
        impl Visitor<'_> for Float {
            type Value = AnyFloat;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }
            fn visit_f64<E>(self, v: f64) -> std::result::Result<AnyFloat, E> {
                Ok(AnyFloat(v))
            }
            fn visit_i64<E>(self, v: i64) -> std::result::Result<AnyFloat, E> {
                Ok(AnyFloat(v as f64))
            }
            fn visit_u64<E>(self, v: u64) -> std::result::Result<AnyFloat, E> {
                Ok(AnyFloat(v as f64))
            }
            fn visit_str<E: serde::de::Error>(self, v: &str) -> std::result::Result<AnyFloat, E> {
                match v {
                    "NaN" => Ok(AnyFloat(f64::NAN)),
                    "Infinity" => Ok(AnyFloat(f64::INFINITY)),
                    "-Infinity" => Ok(AnyFloat(f64::NEG_INFINITY)),
                    _ => Err(E::invalid_type(serde::de::Unexpected::Str(v), &self)),
                }
            }
        }
        deserializer.deserialize_any(Float)
    }
}

fn elements<'de, T: Deserialize<'de>>(json: &'de str, expected: usize) -> Result<Vec<T>> {
    // The text has at least two bytes an element, so a shape cannot claim more memory than was sent.
    let mut values = Vec::with_capacity(expected.min(json.len() / 2 + 1));
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let array = Array { values: &mut values, expected, element: PhantomData };
    deserializer
        .deserialize_seq(array)
        .map_err(|source| Error::invalid_input("the data of a tensor cannot be read").with("reason", source))?;
    Ok(values)
}

/// Reads arrays nested to any depth that `serde_json` allows (128) into one flat vector.
struct Array<'a, T> {
    values: &'a mut Vec<T>,
    expected: usize,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Array<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        let Self { values, expected, element } = self;
        while seq.next_element_seed(Item(Array { values: &mut *values, expected, element }))?.is_some() {}
        Ok(())
    }
}

/// One item of an array: an element, or an array again.
struct Item<'a, T>(Array<'a, T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Item<'_, T> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Item<'_, T> {
    fn push<V: IntoDeserializer<'de, E>, E: serde::de::Error>(self, value: V) -> std::result::Result<(), E> {
        if self.0.values.len() == self.0.expected {
            return Err(E::custom("more elements than the shape has"));
        }
        self.0.values.push(T::deserialize(value.into_deserializer())?);
        Ok(())
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Item<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an element or an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<(), A::Error> {
        self.0.visit_seq(seq)
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> std::result::Result<(), E> {
        self.push(v)
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> std::result::Result<(), E> {
        self.push(v)
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> std::result::Result<(), E> {
        self.push(v)
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> std::result::Result<(), E> {
        self.push(v)
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> std::result::Result<(), E> {
        self.push(v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Tensor> {
        serde_json::from_str::<ReadTensor<'_>>(json).map_err(|e| Error::invalid_input(e.to_string()))?.to_tensor()
    }

    #[test]
    fn nested_and_flat_arrays_are_the_same_tensor() {
        let flat = read(r#"{"name":"x","shape":[2,2],"datatype":"INT64","data":[1,2,3,4]}"#).expect("flat");
        let nested = read(r#"{"name":"x","data":[[1,2], [3,4]],"datatype":"INT64","shape":[2,2]}"#).expect("nested");
        assert_eq!(flat, nested);
    }

    #[test]
    fn every_type_is_read_as_it_was_written() {
        let tensors = [
            Tensor::vector(vec![true, false]),
            Tensor::vector(vec![u64::MAX]),
            Tensor::vector(vec![i8::MIN]),
            Tensor::vector(vec![f16::from_f32(0.1)]),
            Tensor::vector(vec![bf16::from_f32(0.1)]),
            Tensor::vector(vec![0.1_f32, f32::INFINITY]),
            Tensor::vector(vec![0.1_f64, f64::NEG_INFINITY]),
            Tensor::vector(vec![Bytes::from_static("Zürich \"x\"".as_bytes())]),
            Tensor::vector(Vec::<f32>::new()),
        ];
        for tensor in tensors {
            let json = serde_json::to_string(&WriteTensor { name: "x", tensor: &tensor }).expect("json");
            assert_eq!(read(&json).expect(&json), tensor);
        }
    }

    #[test]
    fn bad_data_is_an_error() {
        for (shape, dtype, data) in [
            ("[2]", "FP32", "[1]"),
            ("[1]", "FP32", "[1,2]"),
            ("[1]", "FP32", "[[[1,2]]]"),
            ("[1]", "FP32", "[\"1\"]"),
            ("[1]", "FP32", "[null]"),
            ("[1]", "FP32", "1"),
            ("[1]", "INT8", "[128]"),
            ("[1]", "UINT8", "[-1]"),
            ("[1]", "INT64", "[1.5]"),
            ("[1]", "BOOL", "[1]"),
            ("[1]", "BYTES", "[1]"),
            ("[1]", "FP8", "[1]"),
            ("[-1]", "FP32", "[1]"),
            ("[4294967296,4294967296]", "FP32", "[1]"),
        ] {
            let json = format!(r#"{{"name":"x","shape":{shape},"datatype":"{dtype}","data":{data}}}"#);
            assert!(read(&json).is_err(), "{json}");
        }
        let deep = format!(
            r#"{{"name":"x","shape":[1],"datatype":"FP32","data":{}1{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(read(&deep).is_err());
        assert!(
            serde_json::to_string(&WriteTensor {
                name: "x",
                tensor: &Tensor::vector(vec![Bytes::from_static(b"\xff")])
            })
            .is_err()
        );
    }
}
