//! Providers of Windows and Azure.

use super::{
    MoreOptions,
    settings::{Settings, loud},
};
use crate::{Error, Result};
use ::ort::ep::{self, ExecutionProviderDispatch};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// Options of DirectML.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DirectMl {
    /// Which adapter, as Windows counts them; the other fields choose one when there is no number.
    pub device: Option<u32>,
    /// The kinds of devices to choose from.
    pub devices: DirectMlDevices,
    /// What to choose by.
    pub preference: DirectMlPreference,
}

impl DirectMl {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        let mut provider = ep::DirectML::default()
            .with_device_filter(match self.devices {
                DirectMlDevices::Gpu => ep::directml::DeviceFilter::Gpu,
                DirectMlDevices::Npu => ep::directml::DeviceFilter::Npu,
                DirectMlDevices::Any => ep::directml::DeviceFilter::Any,
            })
            .with_performance_preference(match self.preference {
                DirectMlPreference::Default => ep::directml::PerformancePreference::Default,
                DirectMlPreference::HighPerformance => ep::directml::PerformancePreference::HighPerformance,
                DirectMlPreference::MinimumPower => ep::directml::PerformancePreference::MinimumPower,
            });
        if let Some(device) = self.device {
            let device = i32::try_from(device).map_err(|_| Error::invalid_input("an option is too large"))?;
            provider = provider.with_device_id(device);
        }
        Ok(loud(provider))
    }
}

/// The kinds of devices that DirectML chooses from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectMlDevices {
    /// GPUs.
    #[default]
    Gpu,
    /// NPUs.
    Npu,
    /// Both.
    Any,
}

/// What DirectML chooses a device by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectMlPreference {
    /// As Windows is set.
    #[default]
    Default,
    /// The fastest.
    HighPerformance,
    /// The one that takes the least power.
    MinimumPower,
}

/// Options of Azure endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Azure {
    /// Options, none of which has a field.
    pub more: MoreOptions,
}

impl Azure {
    pub(super) fn dispatch(&self, _threads: NonZeroUsize) -> Result<ExecutionProviderDispatch> {
        Settings::default().more(&self.more)?.apply(ep::Azure::default())
    }
}
