//! What the processor is called.

use std::fs;

/// Arm cores that say a number instead of a name: implementer and part, from the kernel's `cputype.h`.
const ARM_CORES: [(&str, &str, &str); 7] = [
    ("0x41", "0xd0c", "Arm Neoverse N1"),
    ("0x41", "0xd40", "Arm Neoverse V1"),
    ("0x41", "0xd49", "Arm Neoverse N2"),
    ("0x41", "0xd4f", "Arm Neoverse V2"),
    ("0x41", "0xd8e", "Arm Neoverse N3"),
    ("0x41", "0xd84", "Arm Neoverse V3"),
    ("0xc0", "0xac3", "Ampere AmpereOne"),
];

/// The name of the first processor; `unknown` where the kernel does not say.
pub fn cpu_name() -> String {
    named(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn named(cpuinfo: &str) -> String {
    let value = |key: &str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| *name == key)
    };
    if let Some((_, name)) = value("model name") {
        return name.to_owned();
    }
    let (Some((_, implementer)), Some((_, part))) = (value("CPU implementer"), value("CPU part"))
    else {
        return "unknown".to_owned();
    };
    let known = ARM_CORES.iter().find(|(by, core, _)| (*by, *core) == (implementer, part));
    known.map_or_else(
        || format!("Arm implementer {implementer} part {part}"),
        |(.., name)| (*name).to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x86_says_a_name_and_arm_a_number() {
        let check = |cpuinfo, expect| assert_eq!(named(cpuinfo), expect);
        check("processor\t: 0\nmodel name\t: AMD EPYC 9B45\n", "AMD EPYC 9B45");
        check("CPU implementer\t: 0x41\nCPU part\t: 0xd4f\n", "Arm Neoverse V2");
        check("CPU implementer\t: 0x41\nCPU part\t: 0x001\n", "Arm implementer 0x41 part 0x001");
        check("", "unknown");
    }
}
