//! Names and ids: parsed once, printed back the same, never confused with each other.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{fmt, num::NonZeroU32, str::FromStr, sync::Arc};

/// A text newtype with one rule for what it may hold.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and keeps a name.
            ///
            /// # Errors
            /// [`InvalidInput`](crate::ErrorKind::InvalidInput) when the text breaks the rule of this type.
            pub fn new(text: impl AsRef<str>) -> Result<Self> {
                let text = text.as_ref();
                $rule(text).map_err(|rule| Error::invalid_input(format!(concat!("not a ", $what, ": {}"), rule)).with($what, text.escape_debug()))?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.to_string()
            }
        }
    };
}

name! {
    /// The name of a registered model.
    ModelName, "model name", identifier
}
name! {
    /// A movable name for one version of a model, such as `champion`. Never all digits, so that `model@7` is a version.
    Alias, "alias", alias
}
name! {
    /// The name of a feature view.
    ViewName, "view name", identifier
}
name! {
    /// The name of one column of a feature view.
    FeatureName, "feature name", identifier
}
name! {
    /// The name of an entity: what features are about, such as `customer` or `airport`.
    EntityName, "entity name", identifier
}
name! {
    /// The name of an experiment: a group of runs.
    ExperimentName, "experiment name", identifier
}

/// The number of a version of a model: 1, 2, 3, …, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(NonZeroU32);

impl Version {
    /// The first version of every model.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// Keeps a version number; zero is none.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        // One spelling a version: `+1` and `01` would parse as numbers.
        let canonical = text.starts_with(|c: char| c.is_ascii_digit() && c != '0');
        text.parse()
            .ok()
            .filter(|_| canonical)
            .map(Self)
            .ok_or_else(|| Error::invalid_input("not a version number").with("version", text.escape_debug()))
    }
}

/// Which version of a model is meant: a number, or whatever an alias names now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum At {
    /// A fixed version.
    Version(Version),
    /// The version that the alias names at the time of asking.
    Alias(Alias),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => version.fmt(f),
            Self::Alias(alias) => alias.fmt(f),
        }
    }
}

/// A model at a version or alias, written `name@7` or `name@champion`.
///
/// ```
/// use ml_core::id::{At, ModelRef};
///
/// let at: ModelRef = "fraud@champion".parse()?;
/// assert!(matches!(at.at, At::Alias(_)));
/// assert_eq!(at.to_string(), "fraud@champion");
/// assert!("fraud".parse::<ModelRef>().is_err());
/// # Ok::<(), ml_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelRef {
    /// The registered model.
    pub name: ModelName,
    /// Which of its versions.
    pub at: At,
}

impl ModelRef {
    /// Names a fixed version.
    #[must_use]
    pub fn version(name: ModelName, version: Version) -> Self {
        Self { name, at: At::Version(version) }
    }

    /// Names whatever version the alias points to.
    #[must_use]
    pub fn alias(name: ModelName, alias: Alias) -> Self {
        Self { name, at: At::Alias(alias) }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.at)
    }
}

impl FromStr for ModelRef {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (name, at) = text.split_once('@').ok_or_else(|| {
            Error::invalid_input("a model reference is written name@version or name@alias")
                .with("reference", text.escape_debug())
        })?;
        let at = if at.bytes().all(|b| b.is_ascii_digit()) { At::Version(at.parse()?) } else { At::Alias(at.parse()?) };
        Ok(Self { name: name.parse()?, at })
    }
}

impl TryFrom<String> for ModelRef {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<ModelRef> for String {
    fn from(at: ModelRef) -> Self {
        at.to_string()
    }
}

/// A feature of a view, written `view:feature`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeatureRef {
    /// The view.
    pub view: ViewName,
    /// The column of the view.
    pub feature: FeatureName,
}

impl fmt::Display for FeatureRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.view, self.feature)
    }
}

impl FromStr for FeatureRef {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (view, feature) = text.split_once(':').ok_or_else(|| {
            Error::invalid_input("a feature reference is written view:feature").with("reference", text.escape_debug())
        })?;
        Ok(Self { view: view.parse()?, feature: feature.parse()? })
    }
}

impl TryFrom<String> for FeatureRef {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<FeatureRef> for String {
    fn from(feature: FeatureRef) -> Self {
        feature.to_string()
    }
}

/// The id of a run: a time-ordered UUID (version 7), written in hexadecimal without hyphens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(uuid::Uuid);

impl RunId {
    /// Makes a new id from the system clock and randomness.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl FromStr for RunId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        text.parse()
            .map(Self)
            .map_err(|source| Error::invalid_input("not a run id").with("run", text.escape_debug()).with_source(source))
    }
}

impl TryFrom<String> for RunId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

/// The SHA-256 of some bytes, written in hexadecimal: the identity of an artifact.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Hashes bytes.
    #[must_use]
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Keeps a hash computed elsewhere.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|source| {
            Error::invalid_input("not a sha256 in hexadecimal").with("digest", text.escape_debug()).with_source(source)
        })?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// Letters, digits, `_`, `-` and `.`, starting with a letter or digit: safe in file names, URLs and SQL parameters alike.
fn identifier(text: &str) -> std::result::Result<(), &'static str> {
    if text.is_empty() || text.len() > 128 {
        Err("between 1 and 128 bytes")
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Err("must start with a letter or digit")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) {
        Err("only letters, digits, '_', '-' and '.'")
    } else {
        Ok(())
    }
}

fn alias(text: &str) -> std::result::Result<(), &'static str> {
    if text.bytes().all(|b| b.is_ascii_digit()) { Err("all digits would be a version") } else { identifier(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_refuse_what_could_leave_a_folder_or_a_url() {
        for bad in ["", "..", "a/b", "a\\b", ".hidden", "a b", "é", "a\0", "a%2e", &"x".repeat(129)] {
            assert!(ModelName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ModelName::new("late-arrival.v2_x").expect("valid").as_str(), "late-arrival.v2_x");
    }

    #[test]
    fn versions_and_aliases_cannot_be_confused() {
        assert!(Alias::new("9").is_err());
        for bad in ["0", "01", "+1", "-1", "", "4294967296"] {
            assert!(bad.parse::<Version>().is_err(), "{bad:?}");
        }
        let at: ModelRef = "m@12".parse().expect("valid");
        assert_eq!(at.at, At::Version(Version::new(12).expect("not zero")));
        for bad in ["m@", "@1", "m@0", "m", "m@a@b"] {
            assert!(bad.parse::<ModelRef>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_print_back_what_was_parsed() {
        let run = RunId::generate();
        assert_eq!(run.to_string().parse::<RunId>().expect("own print"), run);
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().parse::<Digest>().expect("own print"), digest);
    }
}
