//! Log lines, for people or for machines. They go to standard error: standard output belongs to the answers of
//! commands. Fields of the spans around a line, such as `request_id`, are part of the line.

use std::io::{self, IsTerminal};

use domain::kernel::config::{Config, LogFormat, Setting};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging as the configuration says. Call it once a process.
///
/// # Errors
/// Text for people: the filter cannot be read, or logging was started before.
pub fn init(config: &Config) -> Result<(), String> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| format!("{}: {error}", Setting::Log.variable()))?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr);
    let started = match config.log_format {
        LogFormat::Pretty => lines.with_ansi(io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .finish()
            .try_init(),
    };
    started.map_err(|error| format!("logging: {error}"))
}
