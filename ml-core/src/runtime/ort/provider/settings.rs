//! Options as the library takes them: keys and values in text.

use super::MoreOptions;
use crate::{Error, Result};
use ::ort::ep::{ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};
use std::{fmt::Display, path::Path};

/// The options that are set.
#[derive(Debug, Default)]
pub(super) struct Settings(Vec<(String, String)>);

impl Settings {
    pub(super) fn value(mut self, key: &str, value: Option<impl Display>) -> Self {
        self.0.extend(value.map(|value| (key.into(), value.to_string())));
        self
    }

    /// A switch that the library writes as a digit.
    pub(super) fn switch(self, key: &str, value: Option<bool>) -> Self {
        self.value(key, value.map(u8::from))
    }

    pub(super) fn path(self, key: &str, value: Option<&Path>) -> Result<Self> {
        let text = value.map(|path| path_text(path)).transpose()?;
        Ok(self.value(key, text))
    }

    /// Adds the options without a field; they may not say again, or against, what a field says.
    pub(super) fn more(mut self, more: &MoreOptions) -> Result<Self> {
        for (key, value) in more {
            if self.0.iter().any(|(known, _)| known == key) {
                return Err(Error::invalid_input("an option is given twice: in its field and among the others")
                    .with("option", key.escape_debug()));
            }
            self.0.push((key.clone(), value.clone()));
        }
        Ok(self)
    }

    pub(super) fn apply<P>(self, mut provider: P) -> Result<ExecutionProviderDispatch>
    where
        P: ArbitrarilyConfigurableExecutionProvider + Into<ExecutionProviderDispatch>,
    {
        for (key, value) in self.0 {
            if key.is_empty() {
                return Err(Error::invalid_input("an option has no name"));
            }
            // The binding panics on a zero byte.
            provider = provider.with_arbitrary_config(no_zero(&key)?, no_zero(&value)?);
        }
        Ok(loud(provider))
    }
}

/// The provider, such that a failure to register is an error.
pub(super) fn loud(provider: impl Into<ExecutionProviderDispatch>) -> ExecutionProviderDispatch {
    provider.into().error_on_failure()
}

pub(super) fn no_zero(text: &str) -> Result<&str> {
    if text.contains('\0') {
        Err(Error::invalid_input("an option has a zero byte").with("option", text.escape_debug()))
    } else {
        Ok(text)
    }
}

pub(super) fn path_text(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| {
            Error::invalid_input("ONNX Runtime takes only paths that are UTF-8").with("path", path.display())
        })
        .and_then(no_zero)
}
