// FastJet in C++, timed for benchmarks/jets.py.
//
// Usage: jets FILE. The file holds, as 8-byte numbers, for each crossing the number n of its particles (integer), then
// px, py, pz, E of each. A line "algorithm radius min_pt" of the standard input, algorithm −1 for anti-kT, 0 for
// Cambridge/Aachen and 1 for kT, is a job: jets and their constituents. The answer goes to the standard error, away
// from FastJet's banner: "OUT pt" for each jet, and at the end "END seconds", the CPU time of all crossings.

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <vector>

#include "fastjet/ClusterSequence.hh"

using namespace fastjet;

std::vector<std::vector<PseudoJet>> read(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::vector<PseudoJet>> crossings;
  int64_t n;
  while (file.read(reinterpret_cast<char *>(&n), sizeof n)) {
    std::vector<double> p(4 * n);
    file.read(reinterpret_cast<char *>(p.data()), p.size() * sizeof(double));
    std::vector<PseudoJet> particles;
    for (int64_t i = 0; i < n; ++i) particles.emplace_back(p[4 * i], p[4 * i + 1], p[4 * i + 2], p[4 * i + 3]);
    crossings.push_back(particles);
  }
  return crossings;
}

int main(int, char **arguments) {
  const auto crossings = read(arguments[1]);
  int power;
  double radius, min_pt;
  while (std::cin >> power >> radius >> min_pt) {
    const auto algorithm = power < 0 ? antikt_algorithm : power > 0 ? kt_algorithm : cambridge_algorithm;
    const JetDefinition definition(algorithm, radius);
    std::vector<double> pt;
    std::size_t n_constituents = 0;
    const auto start = std::clock();
    for (const auto &particles : crossings) {
      const ClusterSequence sequence(particles, definition);
      for (const auto &jet : sequence.inclusive_jets(min_pt)) {
        pt.push_back(jet.pt());
        n_constituents += jet.constituents().size();
      }
    }
    const double seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
    for (const double value : pt) std::fprintf(stderr, "OUT %.17g\n", value);
    std::fprintf(stderr, "END %.9g %zu\n", seconds, n_constituents);
    std::fflush(stderr);
  }
}
