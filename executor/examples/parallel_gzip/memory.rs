//! The peak memory of the process.

/// Returns a line with the peak of the resident memory.
pub(crate) fn peak() -> String {
    // Linux reports it in this file. Other systems need `unsafe` calls of the system's library.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        Some(peak) => format!("peak memory: {}", peak.trim()),
        None => "peak memory: this system does not report it".to_owned(),
    }
}
