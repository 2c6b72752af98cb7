//! Versions, and the items that they may lose.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Returns the lines of one listing that the other does not have, as often as they are missing.
pub(super) fn gone<'a>(before: &'a str, now: &str) -> Vec<&'a str> {
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    for line in now.lines() {
        *left.entry(line).or_default() += 1;
    }
    let mut gone = Vec::new();
    for line in before.lines() {
        match left.get_mut(line) {
            Some(count) if *count > 0 => *count -= 1,
            _ => gone.push(line),
        }
    }
    gone
}

/// Returns the lines that are gone. After a change of the series there are none, since users do not
/// get another series without asking.
pub(super) fn broken<'a>(
    listing: &'a str,
    now: &str,
    version: &str,
    new_version: &str,
) -> Vec<&'a str> {
    if series(version) == series(new_version) { gone(listing, now) } else { Vec::new() }
}

/// Returns the part of a version that a requirement keeps to: up to the first number above 0.
fn series(version: &str) -> &str {
    let mut end = 0;
    for number in version.split('.') {
        end += number.len();
        if number != "0" {
            break;
        }
        end += 1;
    }
    version.get(..end).unwrap_or(version)
}

/// Returns the version that the workspace's manifest gives to its packages.
pub(super) fn package_version(manifest: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Manifest {
        workspace: Workspace,
    }
    #[derive(Deserialize)]
    struct Workspace {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let manifest: Manifest = toml::from_str(manifest).ok()?;
    Some(manifest.workspace.package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "pub fn ring::Ring<T>::complete(&self, ring::Ticket, T)\n\
                           pub fn ring::Ring<T>::evict(&self, ring::Ticket)\n";

    /// Replaces something in the listing, and judges the change.
    fn is_accepted(version: &str, new_version: &str, from: &str, to: &str) -> bool {
        let changed = LISTING.replacen(from, to, 1);
        assert_ne!(changed, LISTING, "{from}");
        broken(LISTING, &changed, version, new_version).is_empty()
    }

    #[test]
    fn lost_and_changed_items_need_a_new_version() {
        let (first, _) = LISTING.split_once('\n').unwrap();
        assert!(!is_accepted("0.1.0", "0.1.1", first, ""));
        assert!(!is_accepted("0.1.0", "0.1.1", "complete(&self", "complete(&mut self"));
        assert!(!is_accepted("1.1.0", "1.2.0", first, ""));
        assert!(!is_accepted("0.0.3", "0.0.3", first, ""));
        assert!(is_accepted("0.1.9", "0.2.0", first, ""));
        assert!(is_accepted("0.0.3", "0.0.4", first, ""));
        assert!(is_accepted("1.9.0", "2.0.0", first, ""));
    }

    #[test]
    fn new_items_are_accepted() {
        assert!(is_accepted("0.1.0", "0.1.1", "pub fn", "pub fn ring::seeded()\npub fn"));
    }

    #[test]
    fn lines_are_counted() {
        assert_eq!(gone("a\na\nb\n", "b\na\n"), ["a"]);
        assert_eq!(gone("a\n", "a\na\n"), Vec::<&str>::new());
    }

    #[test]
    fn series_end_with_the_first_number_above_zero() {
        for (version, expected) in [
            ("0.0.3", "0.0.3"),
            ("0.1.9", "0.1"),
            ("1.2.3", "1"),
            ("10.0.1", "10"),
            ("0.0.0", "0.0.0"),
        ] {
            assert_eq!(series(version), expected);
        }
    }

    #[test]
    fn version_of_the_workspace_is_found() {
        let manifest = "[workspace]\nmembers = []\n[workspace.package]\nversion = \"0.1.0\"\n";
        assert_eq!(package_version(manifest).as_deref(), Some("0.1.0"));
        assert_eq!(package_version("[package]\nversion = \"0.1.0\"\n"), None);
    }
}
