// How many builds were tried on the same evaluation samples, and what that takes from each one's proof.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "verify/figures.h"
#include "verify/gate.h"

namespace narrow::pipeline {

struct Comparisons {
  int64_t tried =
      0;  // builds but FP32 that were scored on the evaluation data, the trials of mixed among them
  verify::Proof proof = verify::Proof::point;
  std::map<std::string, double> levels;  // of the intervals a build's gates are held to, with Proof::ci
  std::string sentence;                  // for people; empty where nothing was compared

  double level_of(const std::string& build) const;
};

struct TriedBuild {
  std::string name;
  const verify::Figures* figures;
};

/// A build passes when all of its gates about answers do, so that its p is the largest of theirs
/// (intersection-union test: Berger, Technometrics 24, 1982); Holm's step-down over the builds gives each its
/// level. With Proof::point nothing is corrected, and the sentence says by how much the best may flatter
/// itself.
Comparisons compare_tried(const std::vector<TriedBuild>& builds, const std::vector<verify::Gate>& gates,
                          verify::Proof proof, int64_t tried);

Json to_json(const Comparisons& comparisons);

}  // namespace narrow::pipeline
