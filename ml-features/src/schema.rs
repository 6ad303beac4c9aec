//! Which Arrow types keys, times and features may have, and how a type is written as text.

use ml_core::{
    Error, Result,
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray},
        compute::unary,
        datatypes::{
            DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
            TimestampSecondType,
        },
        error::ArrowError,
    },
};

/// Runs `$body` with `$t` naming the Arrow type of a fixed-width type, or `$rest` for any other.
macro_rules! with_fixed_width {
    ($dtype:expr, $t:ident => $body:expr, $rest:expr) => {{
        use ml_core::arrow::datatypes::{self as arrow_types, DataType, TimeUnit};
        macro_rules! run {
            ($name:ident) => {{
                type $t = arrow_types::$name;
                $body
            }};
        }
        match $dtype {
            DataType::Int8 => run!(Int8Type),
            DataType::Int16 => run!(Int16Type),
            DataType::Int32 => run!(Int32Type),
            DataType::Int64 => run!(Int64Type),
            DataType::UInt8 => run!(UInt8Type),
            DataType::UInt16 => run!(UInt16Type),
            DataType::UInt32 => run!(UInt32Type),
            DataType::UInt64 => run!(UInt64Type),
            DataType::Float32 => run!(Float32Type),
            DataType::Float64 => run!(Float64Type),
            DataType::Date32 => run!(Date32Type),
            DataType::Timestamp(TimeUnit::Second, _) => run!(TimestampSecondType),
            DataType::Timestamp(TimeUnit::Millisecond, _) => run!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, _) => run!(TimestampMicrosecondType),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => run!(TimestampNanosecondType),
            _ => $rest,
        }
    }};
}
pub(crate) use with_fixed_width;

/// Every type that keys may have, with the tag that marks it in an encoded key. Tags are never reused.
///
/// Floats are no keys: NaN is not equal to itself, and -0.0 and 0.0 are equal with other bytes.
const KEY_TYPES: [(DataType, u8); 11] = [
    (DataType::Boolean, 1),
    (DataType::Int8, 2),
    (DataType::Int16, 3),
    (DataType::Int32, 4),
    (DataType::Int64, 5),
    (DataType::UInt8, 6),
    (DataType::UInt16, 7),
    (DataType::UInt32, 8),
    (DataType::UInt64, 9),
    (DataType::Utf8, 10),
    (DataType::Date32, 11),
];

/// The tag of a key type, if it is one.
pub(crate) fn key_tag(dtype: &DataType) -> Option<u8> {
    KEY_TYPES.iter().find(|(known, _)| known == dtype).map(|(_, tag)| *tag)
}

/// Whether features may have the type. A time without a zone may not: nobody could tell when it was.
pub(crate) fn is_feature_type(dtype: &DataType) -> bool {
    match dtype {
        DataType::Timestamp(_, zone) => zone.is_some(),
        DataType::Boolean | DataType::Utf8 | DataType::Binary => true,
        other => other.is_integer() || matches!(other, DataType::Float32 | DataType::Float64 | DataType::Date32),
    }
}

/// The type that event and created times are kept in.
pub(crate) fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Which way a time finer than a microsecond goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rounding {
    /// Later: for events, so that none seems earlier than it was.
    Up,
    /// Earlier: for labels, so that none sees what came after it.
    Down,
}

/// Times of any unit as microseconds in UTC.
pub(crate) fn micros(array: &dyn Array, rounding: Rounding) -> Result<TimestampMicrosecondArray> {
    let scaled = |result: Result<TimestampMicrosecondArray, ArrowError>| {
        result.map_err(|source| {
            Error::invalid_input("a time is out of the range of microseconds in 64 bits").with_source(source)
        })
    };
    let scale = |by: i64| {
        move |value: i64| value.checked_mul(by).ok_or_else(|| ArrowError::ArithmeticOverflow(value.to_string()))
    };
    let times = match array.data_type() {
        DataType::Timestamp(_, None) => {
            return Err(Error::invalid_input("a time column has no time zone").with("type", array.data_type()));
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            scaled(array.as_primitive::<TimestampSecondType>().try_unary(scale(1_000_000)))?
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(array.as_primitive::<TimestampMillisecondType>().try_unary(scale(1_000)))?
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => array.as_primitive::<TimestampMicrosecondType>().clone(),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            unary(array.as_primitive::<TimestampNanosecondType>(), |value: i64| match rounding {
                Rounding::Down => value.div_euclid(1_000),
                Rounding::Up => value.div_euclid(1_000) + i64::from(value.rem_euclid(1_000) != 0),
            })
        }
        other => return Err(Error::invalid_input("a time column holds no times").with("type", other)),
    };
    Ok(times.with_data_type(time_type()))
}

/// A column by name.
pub(crate) fn column<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    rows.column_by_name(name).ok_or_else(|| {
        let columns: Vec<_> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        Error::invalid_input("a column is missing").with("column", name).with("columns", columns.join(", "))
    })
}

/// A column by name, of exactly one type.
pub(crate) fn typed_column<'a>(rows: &'a RecordBatch, name: &str, dtype: &DataType) -> Result<&'a ArrayRef> {
    let found = column(rows, name)?;
    if found.data_type() == dtype {
        Ok(found)
    } else {
        Err(Error::invalid_input("a column has another type than declared")
            .with("column", name)
            .with("expected", dtype)
            .with("got", found.data_type()))
    }
}

/// A type as Arrow prints it, such as `Int64` or `Timestamp(µs, "UTC")`, in serde.
pub(crate) mod text {
    use ml_core::arrow::datatypes::DataType;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(dtype: &DataType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(dtype)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DataType, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ml_core::arrow::array::{TimestampNanosecondArray, TimestampSecondArray};

    #[test]
    fn finer_times_never_let_a_label_see_its_future() {
        let times = TimestampNanosecondArray::from(vec![1_001, -1_001, 2_000]).with_timezone("UTC");
        assert_eq!(micros(&times, Rounding::Up).expect("times").values(), &[2, -1, 2]);
        assert_eq!(micros(&times, Rounding::Down).expect("times").values(), &[1, -2, 2]);
    }

    #[test]
    fn times_without_a_zone_or_out_of_range_are_refused() {
        let naive = TimestampSecondArray::from(vec![1]);
        assert!(micros(&naive, Rounding::Up).expect_err("naive").to_string().contains("time zone"));
        let far = TimestampSecondArray::from(vec![i64::MAX]).with_timezone("UTC");
        assert!(micros(&far, Rounding::Up).expect_err("far").to_string().contains("out of the range"));
    }

    #[test]
    fn every_type_is_read_back_from_its_text() {
        let times = [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond]
            .map(|unit| DataType::Timestamp(unit, Some("America/New_York".into())));
        let others = [DataType::Float32, DataType::Float64, DataType::Binary];
        for dtype in KEY_TYPES.into_iter().map(|(dtype, _)| dtype).chain(times).chain(others) {
            assert!(is_feature_type(&dtype), "{dtype}");
            assert_eq!(dtype.to_string().parse::<DataType>().expect("own print"), dtype);
        }
        assert!(!is_feature_type(&DataType::Timestamp(TimeUnit::Second, None)));
    }
}
