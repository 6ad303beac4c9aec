//! Universal Binary JSON, draft 12, as XGBoost writes it.

use serde::de::{self, DeserializeOwned, IntoDeserializer as _, Visitor};
use std::fmt;

/// Reads one value, which has to take all the bytes.
pub(super) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, UbjError> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = T::deserialize(Value { reader: &mut reader, marker: None })?;
    if reader.at == bytes.len() { Ok(value) } else { Err(reader.wrong("bytes behind the end of the model")) }
}

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct UbjError {
    message: String,
    at: Option<usize>,
}

impl fmt::Display for UbjError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.at.map_or(Ok(()), |at| write!(f, " at byte {at}"))
    }
}

impl std::error::Error for UbjError {}

impl de::Error for UbjError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), at: None }
    }
}

/// Values within each other: models have a handful.
const MAX_DEPTH: usize = 64;

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, message: &str) -> UbjError {
        UbjError { message: message.to_owned(), at: Some(self.at) }
    }

    /// Where in the bytes an error of the visitor is from, where it does not say.
    fn placed(&self, mut error: UbjError) -> UbjError {
        error.at.get_or_insert(self.at);
        error
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], UbjError> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.wrong("the bytes end too early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], UbjError> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| self.wrong("the bytes end too early"))
    }

    fn byte(&mut self) -> Result<u8, UbjError> {
        Ok(self.array::<1>()?[0])
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The next marker that means something.
    fn marker(&mut self) -> Result<u8, UbjError> {
        loop {
            match self.byte()? {
                b'N' => {}
                marker => return Ok(marker),
            }
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64, UbjError> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(self.wrong("a whole number was expected")),
        })
    }

    fn count(&mut self) -> Result<usize, UbjError> {
        let marker = self.marker()?;
        let count = self.integer(marker)?;
        usize::try_from(count).map_err(|_| self.wrong("a length is negative"))
    }

    fn text(&mut self) -> Result<&'a str, UbjError> {
        let count = self.count()?;
        let text = self.take(count)?;
        std::str::from_utf8(text).map_err(|_| self.wrong("a text is not UTF-8"))
    }

    /// How a container begins: the type of all its values, and their number.
    fn container(&mut self) -> Result<(Option<u8>, Option<usize>), UbjError> {
        let mut kind = None;
        if self.peek() == Some(b'$') {
            self.at += 1;
            let marker = self.byte()?;
            let size = match marker {
                b'i' | b'U' | b'C' => 1,
                b'I' => 2,
                b'l' | b'd' => 4,
                b'L' | b'D' => 8,
                // Values of no bytes would be any number for nothing.
                _ => return Err(self.wrong("a container of one type holds only numbers")),
            };
            kind = Some((marker, size));
            if self.peek() != Some(b'#') {
                return Err(self.wrong("a container of one type says how many values it has"));
            }
        }
        let mut count = None;
        if self.peek() == Some(b'#') {
            self.at += 1;
            let declared = self.count()?;
            // Every value takes a byte at least.
            let least = declared.checked_mul(kind.map_or(1, |(_, size)| size));
            if least.is_none_or(|least| least > self.bytes.len() - self.at) {
                return Err(self.wrong("a container says that it has more values than there are bytes"));
            }
            count = Some(declared);
        }
        Ok((kind.map(|(marker, _)| marker), count))
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, UbjError>) -> Result<T, UbjError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("too many values within each other"));
        }
        let value = read(self);
        self.depth -= 1;
        value
    }
}

/// The value at the place of the reader, of the type of its container where that has one.
struct Value<'r, 'a> {
    reader: &'r mut Reader<'a>,
    marker: Option<u8>,
}

impl<'de> de::Deserializer<'de> for Value<'_, '_> {
    type Error = UbjError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjError> {
        let reader = self.reader;
        let marker = match self.marker {
            Some(marker) => marker,
            None => reader.marker()?,
        };
        let value = match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => {
                let number = reader.integer(marker)?;
                match u64::try_from(number) {
                    Ok(number) => visitor.visit_u64(number),
                    Err(_) => visitor.visit_i64(number),
                }
            }
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.array()?)),
            b'C' => visitor.visit_char(char::from(reader.byte()?)),
            b'S' | b'H' => visitor.visit_str(reader.text()?),
            b'[' => reader.nested(|reader| {
                let (marker, left) = reader.container()?;
                visitor.visit_seq(Items { reader, marker, left, end: b']' })
            }),
            b'{' => reader.nested(|reader| {
                let (marker, left) = reader.container()?;
                visitor.visit_map(Items { reader, marker, left, end: b'}' })
            }),
            _ => return Err(reader.wrong("a byte is no marker of a value")),
        };
        value.map_err(|error| reader.placed(error))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, UbjError> {
        if self.marker.is_none() && self.reader.peek() == Some(b'Z') {
            self.reader.at += 1;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The rest of a container: as many values as it says, or up to its end.
struct Items<'r, 'a> {
    reader: &'r mut Reader<'a>,
    marker: Option<u8>,
    left: Option<usize>,
    end: u8,
}

impl Items<'_, '_> {
    fn has_next(&mut self) -> Result<bool, UbjError> {
        if let Some(left) = &mut self.left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        while self.reader.peek() == Some(b'N') {
            self.reader.at += 1;
        }
        match self.reader.peek() {
            Some(byte) if byte == self.end => {
                self.reader.at += 1;
                Ok(false)
            }
            Some(_) => Ok(true),
            None => Err(self.reader.wrong("the bytes end too early")),
        }
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_, '_> {
    type Error = UbjError;

    fn next_element_seed<T: de::DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, UbjError> {
        if !self.has_next()? {
            return Ok(None);
        }
        seed.deserialize(Value { reader: self.reader, marker: self.marker }).map(Some)
    }
}

impl<'de> de::MapAccess<'de> for Items<'_, '_> {
    type Error = UbjError;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, UbjError> {
        if !self.has_next()? {
            return Ok(None);
        }
        seed.deserialize(self.reader.text()?.into_deserializer()).map(Some)
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, UbjError> {
        seed.deserialize(Value { reader: self.reader, marker: self.marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(bytes: &[u8]) -> Result<serde_json::Value, UbjError> {
        from_slice(bytes)
    }

    #[test]
    fn values_of_every_kind_are_read() {
        let cases: [(&[u8], serde_json::Value); 9] = [
            (b"[]", json!([])),
            (b"{}", json!({})),
            (b"[i\xffU\xffI\x01\x00l\x00\x01\x00\x00]", json!([-1, 255, 256, 65536])),
            (b"[TFZNN]", json!([true, false, null])),
            (b"[$d#i\x02\x3f\x80\x00\x00\xbf\x00\x00\x00", json!([1.0, -0.5])),
            (b"[#i\x02Si\x01aD\x3f\xe0\x00\x00\x00\x00\x00\x00", json!(["a", 0.5])),
            (b"{i\x01aL\x00\x00\x00\x00\x00\x00\x00\x07i\x01b[i\x01]}", json!({"a": 7, "b": [1]})),
            (b"{#i\x01i\x01a{}", json!({"a": {}})),
            (b"[$U#L\x00\x00\x00\x00\x00\x00\x00\x03\x01\x02\x03", json!([1, 2, 3])),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read(bytes).expect("well formed"), expected, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_not_well_formed_says_where() {
        let deep = [b'['].repeat(1_000_000);
        let cases: [(&[u8], &str); 12] = [
            (b"", "the bytes end too early at byte 0"),
            (b"[", "the bytes end too early at byte 1"),
            (b"[]i", "bytes behind the end of the model at byte 2"),
            (b"?", "a byte is no marker of a value at byte 1"),
            (b"Si\x05abc", "the bytes end too early at byte 3"),
            (b"Si\xff", "a length is negative at byte 3"),
            (b"Si\x01\xff", "a text is not UTF-8 at byte 4"),
            (b"[$d]", "a container of one type says how many values it has at byte 3"),
            (b"[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff", "a container of one type holds only numbers at byte 3"),
            (
                b"[$L#L\x7f\xff\xff\xff\xff\xff\xff\xff",
                "a container says that it has more values than there are bytes at byte 13",
            ),
            (
                b"[#L\x7f\xff\xff\xff\xff\xff\xff\xff",
                "a container says that it has more values than there are bytes at byte 11",
            ),
            (&deep, "too many values within each other at byte 65"),
        ];
        for (bytes, message) in cases {
            assert_eq!(read(bytes).expect_err(message).to_string(), message);
        }
    }
}
