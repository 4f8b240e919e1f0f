//! What this process may use of its machine: the least of what is there and of what every control group
//! and resource limit around it allows. Whatever can't be read limits nothing.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use rustix::process::{Resource, getrlimit};

/// What stands for "no limit" in control groups of version 1 is a huge number; no machine has as much.
const ABSURD: u64 = 1 << 60;

/// Memory this process may use, in bytes.
pub fn machine_memory() -> u64 {
    let groups = group_limit(Path::new("/"), &MEMORY);
    let limits = [Resource::As, Resource::Data].map(|resource| getrlimit(resource).current);
    let installed = installed(Path::new("/")).or_else(reported_by_the_kernel);
    groups.into_iter().chain(limits.into_iter().flatten()).chain(installed).min().unwrap_or(ABSURD)
}

/// Threads that the control groups around this process allow, if they limit them.
pub fn machine_threads() -> Option<u64> {
    group_limit(Path::new("/"), &THREADS)
}

/// A limit, as control groups of both versions spell it.
struct Limit {
    /// The controller of version 1.
    controller: &'static str,
    /// The file of version 1, of version 2.
    files: [&'static str; 2],
}

const MEMORY: Limit =
    Limit { controller: "memory", files: ["memory.limit_in_bytes", "memory.max"] };
const THREADS: Limit = Limit { controller: "pids", files: ["pids.max", "pids.max"] };

/// The least limit of the group of this process and of all groups above it. `root` is where `/proc` and
/// `/sys` lie.
fn group_limit(root: &Path, limit: &Limit) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = root.join("sys/fs/cgroup");
    // Even without a list there is the group that is mounted.
    let mut least = least_of(&mounts, Path::new(""), limit.files[1]);
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (mount, file) = match controllers {
            "" => (mounts.clone(), limit.files[1]),
            some if some.split(',').any(|one| one == limit.controller) => {
                (mounts.join(limit.controller), limit.files[0])
            }
            _ => continue,
        };
        least = least.into_iter().chain(least_of(&mount, Path::new(path), file)).min();
    }
    least
}

/// The least number in `file` of the group `path` below `mount` and of every group above. In a container
/// the path may be the host's, of which only the upper end is mounted here.
fn least_of(mount: &Path, path: &Path, file: &str) -> Option<u64> {
    let inside = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    });
    let below: PathBuf = inside.collect();
    let numbers = below.ancestors().filter_map(|group| {
        let text = fs::read_to_string(mount.join(group).join(file)).ok()?;
        text.trim().parse::<u64>().ok().filter(|number| *number < ABSURD)
    });
    numbers.min()
}

/// What `/proc/meminfo` says.
fn installed(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The same without `/proc`.
fn reported_by_the_kernel() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let info = rustix::system::sysinfo();
        (info.totalram as u64).checked_mul(info.mem_unit.into()).filter(|bytes| *bytes > 0)
    }
    #[cfg(not(target_os = "linux"))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn check(files: &[(&str, &str)], expect: Option<u64>) {
        assert_eq!(group_limit(root(files).path(), &MEMORY), expect, "{files:?}");
    }

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let groups = ("proc/self/cgroup", "0::/a/b/c\n");
        let (own, parent) = ("sys/fs/cgroup/a/b/c/memory.max", "sys/fs/cgroup/a/memory.max");
        check(&[groups, (own, "max\n"), (parent, "4096\n")], Some(4096));
        check(&[groups, (own, "100\n"), (parent, "4096\n")], Some(100));
        check(&[groups, (own, "max\n")], None);
        check(&[groups, (own, "nonsense"), (parent, "")], None);
    }

    #[test]
    fn groups_of_version_1_are_walked_too() {
        let groups = ("proc/self/cgroup", "5:cpu,memory:/a/b\n4:pids:/x\n0::/\n");
        let own = ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "9223372036854771712\n");
        let parent = ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "8192\n");
        check(&[groups, own, parent], Some(8192));
        check(&[groups, own], None);
    }

    #[test]
    fn a_container_sees_its_own_group_whatever_its_path_is_called() {
        let limit = ("sys/fs/cgroup/memory.max", "4096\n");
        check(&[("proc/self/cgroup", "0::/docker/0123\n"), limit], Some(4096));
        check(&[("proc/self/cgroup", "0::/../../else\n"), limit], Some(4096));
        check(&[limit], Some(4096));
        check(&[], None);
    }

    #[test]
    fn without_proc_the_kernel_is_asked() {
        let meminfo = root(&[("proc/meminfo", "MemTotal:       16 kB\nMemFree: 1 kB\n")]);
        assert_eq!(installed(meminfo.path()), Some(16 << 10));
        assert_eq!(installed(root(&[]).path()), None);
        #[cfg(target_os = "linux")]
        assert!(reported_by_the_kernel().is_some());
    }
}
