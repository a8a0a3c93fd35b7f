//! Metrics as Prometheus reads them, and those that belong to no room.

use prometheus::IntGauge;
use prometheus::Opts;
use prometheus::Registry;
use prometheus::TextEncoder;
use prometheus::process_collector::ProcessCollector;

/// The media type of what [`encode`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Registers `holdpoint_build_info{version}` and the `process_*` metrics of this process.
///
/// # Errors
/// If `registry` has one of these names already.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let opts = Opts::new("holdpoint_build_info", "Always 1; the version is in the label.");
    let build = IntGauge::with_opts(opts.const_label("version", env!("CARGO_PKG_VERSION")))?;
    build.set(1);
    registry.register(Box::new(build))?;
    registry.register(Box::new(ProcessCollector::for_self()))
}

/// All metrics of `registry` in the text format of Prometheus.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    match TextEncoder::new().encode_utf8(&registry.gather(), &mut text) {
        Ok(()) => text,
        // Only a family without a name or a metric can fail, and registering refuses those. An
        // empty answer would look as if all were well.
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the metrics cannot be written");
            format!("# metrics cannot be written: {error}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_and_the_process_are_told() {
        let registry = Registry::new();
        register(&registry).unwrap();
        let text = encode(&registry);
        let version = env!("CARGO_PKG_VERSION");
        assert!(text.contains(&format!("holdpoint_build_info{{version=\"{version}\"}} 1\n")), "{text}");
        for name in ["process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"] {
            assert!(text.contains(&format!("\n{name} ")), "{name}: {text}");
        }
        assert!(register(&registry).is_err());
    }
}
