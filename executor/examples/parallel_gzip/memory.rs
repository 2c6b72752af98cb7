//! How much memory the process had at its peak.

/// One line; resident memory, which is what the system really gave.
pub(crate) fn peak() -> String {
    // Linux tells it here. Elsewhere it would take `unsafe` calls of the system's library.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    match status.lines().find_map(|line| line.strip_prefix("VmHWM:")) {
        Some(peak) => format!("peak memory: {}", peak.trim()),
        None => "peak memory: this system does not tell".to_owned(),
    }
}
