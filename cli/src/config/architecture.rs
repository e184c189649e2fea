//! Processor architectures, and what everybody calls them.

use std::fmt;

/// A processor architecture EC2 offers under Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    X86,
    /// AWS Graviton.
    Arm,
}

impl Architecture {
    /// Reads it off an instance type's name: after the generation, `g` stands for Graviton, and `a1`
    /// was its first family (EC2 instance type guide, "Instance type naming conventions").
    pub fn of(kind: &str) -> Self {
        let family = kind.split('.').next().unwrap_or(kind);
        let options = family.trim_start_matches(|c: char| !c.is_ascii_digit());
        if family == "a1" || options.contains('g') { Self::Arm } else { Self::X86 }
    }

    /// As EC2 names it.
    pub fn aws(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }

    /// As Debian and Ubuntu name it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86 => "amd64",
            Self::Arm => "arm64",
        }
    }

    /// As the kernel, Rust and the names of agents spell it.
    pub fn machine(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "aarch64",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.aws())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graviton_is_told_by_name() {
        for kind in
            ["t4g.small", "c7gn.large", "m6gd.xlarge", "im4gn.large", "a1.large", "r8g.large"]
        {
            assert_eq!(Architecture::of(kind), Architecture::Arm, "{kind}");
        }
        for kind in
            ["t3.large", "c7i.xlarge", "g4dn.xlarge", "g6e.xlarge", "gr6.4xlarge", "m7a.large"]
        {
            assert_eq!(Architecture::of(kind), Architecture::X86, "{kind}");
        }
    }
}
