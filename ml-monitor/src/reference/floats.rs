//! Single-precision numbers in JSON, where infinities have no form of their own: they are written as text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Float {
    Finite(f32),
    Infinite(Infinite),
}

#[derive(Serialize, Deserialize)]
enum Infinite {
    #[serde(rename = "inf")]
    Positive,
    #[serde(rename = "-inf")]
    Negative,
}

pub(super) fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&value| match value {
        f32::INFINITY => Float::Infinite(Infinite::Positive),
        f32::NEG_INFINITY => Float::Infinite(Infinite::Negative),
        finite => Float::Finite(finite),
    }))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    Vec::<Float>::deserialize(deserializer)?
        .into_iter()
        .map(|float| match float {
            Float::Finite(value) if value.is_finite() => Ok(value),
            Float::Finite(_) => Err(de::Error::custom("a number too large for single precision")),
            Float::Infinite(Infinite::Positive) => Ok(f32::INFINITY),
            Float::Infinite(Infinite::Negative) => Ok(f32::NEG_INFINITY),
        })
        .collect()
}
