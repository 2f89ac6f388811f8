//! The limits that a container (a control group of Linux) sets to this process, and the defaults that fit them.

use std::path::Path;

use bytesize::ByteSize;

use super::Settings;
use super::value::SettingValue;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
/// The memory of one password hash.
const HASH: u64 = 19 * MIB;
/// Memory of the process outside its budgets: code, threads and idle connections.
const BASE: u64 = 40 * MIB;
/// The first value with which cgroup v1 says that there is no limit is some pages below 2^63.
const UNLIMITED: u64 = 1 << 60;

/// The limits of the container. None where there is no limit.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct ContainerLimits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Cores, such as 0.5.
    pub cpus: Option<f64>,
}

impl ContainerLimits {
    /// The limits of this process.
    pub fn of_this_process() -> Self {
        Self::read(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"))
    }

    /// The limits of the process whose groups are listed in `groups`, as the hierarchies under `root` have them: version
    /// 2, version 1, or both. Those of every group above apply too, if they are visible.
    ///
    /// # Examples
    /// ```
    /// use std::path::Path;
    /// use strongroom::config::ContainerLimits;
    ///
    /// let limits = ContainerLimits::read(Path::new("/nowhere"), Path::new("/nowhere"));
    /// assert_eq!(limits, ContainerLimits::default());
    /// ```
    pub fn read(groups: &Path, root: &Path) -> Self {
        let mut found = Self::default();
        for line in std::fs::read_to_string(groups).unwrap_or_default().lines() {
            let Some((controllers, group)) = line.split_once(':').and_then(|(_, rest)| rest.split_once(':')) else {
                continue;
            };
            let hierarchies = match controllers {
                "" => vec![root.to_owned(), root.join("unified")],
                _ => controllers.split(',').chain([controllers]).map(|name| root.join(name)).collect(),
            };
            for hierarchy in hierarchies {
                for above in Path::new(group.trim_start_matches('/')).ancestors() {
                    found = found.and(Self::of_group(&hierarchy.join(above)));
                }
            }
        }
        found
    }

    fn of_group(group: &Path) -> Self {
        let text = |name: &str| std::fs::read_to_string(group.join(name)).unwrap_or_default();
        let number = |name: &str| text(name).trim().parse::<u64>().ok();
        let memory = ["memory.max", "memory.high", "memory.limit_in_bytes"].into_iter().filter_map(number).min();
        let max = text("cpu.max");
        let quota = match max.split_whitespace().map(str::parse::<f64>).collect::<Vec<_>>()[..] {
            [Ok(quota), Ok(period)] => Some((quota, period)),
            _ => number("cpu.cfs_quota_us").zip(number("cpu.cfs_period_us")).map(|(a, b)| (a as f64, b as f64)),
        };
        Self {
            memory: memory.filter(|bytes| *bytes < UNLIMITED),
            cpus: quota.filter(|(_, period)| *period > 0.0).map(|(quota, period)| quota / period),
        }
    }

    /// The stricter limits of both.
    fn and(self, other: Self) -> Self {
        Self {
            memory: self.memory.into_iter().chain(other.memory).min(),
            cpus: self.cpus.into_iter().chain(other.cpus).min_by(f64::total_cmp),
        }
    }
}

impl Settings {
    /// These settings, where those that are absent and have a default that is too large for the container get a smaller
    /// one.
    pub fn fitted_to(mut self, limits: ContainerLimits) -> Self {
        let memory = limits.memory.unwrap_or(u64::MAX);
        let part_size = self.part_size().size(0..=u64::MAX).unwrap_or(0).max(default(&self.part_size()));
        let mebibytes = |bytes: u64| format!("{}MiB", (bytes / MIB).max(1));
        let cores = limits.cpus.map_or(u64::MAX, |cpus| cpus.ceil() as u64);
        let sizes = [(self.upload_memory(), (memory / 4).max(part_size)), (self.request_memory(), memory / 8)];
        let numbers = [
            (self.password_hash_concurrency(), (memory / 6 / HASH).min(cores).max(1)),
            (self.database_connections(), (memory / (16 * MIB)).max(2)),
            (self.connection_limit(), (memory / (64 * KIB)).max(64)),
        ];
        let sizes = sizes.map(|(given, fitted)| (given, fitted, mebibytes(fitted)));
        let numbers = numbers.map(|(given, fitted)| (given, fitted, fitted.to_string()));
        let fitted = sizes.into_iter().chain(numbers).filter(|(given, fitted, _)| *fitted < default(given));
        let fitted: Vec<_> = fitted.map(|(given, _, text)| (given.setting, text)).collect();
        for (setting, text) in fitted {
            self = self.or(setting, text);
        }
        self
    }
}

/// The number or size that is the default of a setting.
fn default(given: &SettingValue<'_>) -> u64 {
    let text = given.setting.default.unwrap_or_default();
    text.parse().or_else(|_| text.parse::<ByteSize>().map(|size| size.as_u64())).unwrap_or(u64::MAX)
}

impl super::Config {
    /// The bytes that the process may take, about, with all its budgets used.
    pub fn expected_memory(&self) -> u64 {
        BASE + self.uploads.memory + self.limits.request_memory + self.auth.password_hash_concurrency as u64 * HASH
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    fn read(groups: &str, files: &[(&str, &str)]) -> ContainerLimits {
        let folder = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        fs::write(folder.path().join("groups"), groups).expect("a file");
        ContainerLimits::read(&folder.path().join("groups"), folder.path())
    }

    #[test]
    fn limits_are_read_from_both_versions_of_control_groups() {
        let limits = |memory: u64, cpus: f64| ContainerLimits { memory: Some(memory), cpus: Some(cpus) };
        // Version 2, in a container that sees its own group as the root.
        let own_root = [("memory.max", "134217728\n"), ("cpu.max", "50000 100000\n")];
        assert_eq!(read("0::/\n", &own_root), limits(128 * MIB, 0.5));
        // Version 2, where the group above is stricter.
        let nested = [
            ("a/memory.max", "1000000"),
            ("a/b/memory.max", "max"),
            ("a/b/memory.high", "2000000"),
            ("a/b/cpu.max", "max 100000"),
            ("a/cpu.max", "200000 100000"),
        ];
        assert_eq!(read("0::/a/b\n", &nested), limits(1_000_000, 2.0));
        // Version 1, with the paths of the host, which the container does not see.
        let first = [
            ("memory/memory.limit_in_bytes", "268435456"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "150000"),
            ("cpu,cpuacct/cpu.cfs_period_us", "100000"),
        ];
        assert_eq!(read("4:memory:/docker/1\n3:cpu,cpuacct:/docker/1\n0::/\n", &first), limits(256 * MIB, 1.5));
        // No limits.
        let none = [
            ("memory/memory.limit_in_bytes", "9223372036854771712"),
            ("cpu/cpu.cfs_quota_us", "-1"),
            ("cpu/cpu.cfs_period_us", "100000"),
            ("unified/memory.max", "max"),
        ];
        assert_eq!(read("4:memory:/\n3:cpu:/\n0::/\n", &none), ContainerLimits::default());
        assert_eq!(read("nonsense", &[]), ContainerLimits::default());
    }

    #[test]
    fn defaults_fit_into_the_memory_and_what_is_set_stays() {
        let fitted = |settings: Settings, memory: u64, cpus| {
            settings.fitted_to(ContainerLimits { memory: Some(memory), cpus }).resolve().expect("valid settings")
        };
        for memory in [96 * MIB, 128 * MIB, 192 * MIB, 512 * MIB] {
            let config = fitted(Settings::default(), memory, None);
            assert!(config.expected_memory() <= memory, "{memory}: {}", config.expected_memory());
        }
        let defaults = Config::default();
        let large = fitted(Settings::default(), 4096 * MIB, Some(4.0));
        assert_eq!((large.uploads, large.limits, large.auth), (defaults.uploads, defaults.limits, defaults.auth));
        assert_eq!(fitted(Settings::default(), 4096 * MIB, Some(0.5)).auth.password_hash_concurrency, 1);

        let file = Path::new("strongroom.toml");
        let set = Settings::from_toml("upload_memory = \"300MiB\"\npart_size = \"64MiB\"", file).expect("settings");
        assert_eq!(fitted(set, 128 * MIB, None).uploads.memory, 300 * MIB);
        let parts = Settings::from_toml("part_size = \"64MiB\"", file).expect("settings");
        assert_eq!(fitted(parts, 128 * MIB, None).uploads.memory, 64 * MIB);
    }
}
