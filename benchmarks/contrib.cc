// FastJet contrib's SoftKiller and constituent subtractors, timed for benchmarks/classical.py.
//
// Usage: contrib FILE. The file holds, as 8-byte numbers, for each crossing the number n of its particles (integer),
// then pt, eta, phi of each. A line of the standard input names a job: softkiller, cs or ics. The answer is
// "OUT seconds", the CPU time of all crossings without what is made once, on the standard error, away from FastJet's
// banner. To "left" and a job it is "OUT pt" for each particle, what is left of it.

#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "fastjet/PseudoJet.hh"
#include "fastjet/contrib/ConstituentSubtractor.hh"
#include "fastjet/contrib/IterativeConstituentSubtractor.hh"
#include "fastjet/contrib/SoftKiller.hh"
#include "fastjet/tools/GridMedianBackgroundEstimator.hh"

using fastjet::PseudoJet;
using Particles = std::vector<PseudoJet>;
constexpr double reach = 5.0, tile = 0.5;

std::vector<Particles> read(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<Particles> crossings;
  int64_t n;
  while (file.read(reinterpret_cast<char *>(&n), sizeof n)) {
    std::vector<double> numbers(3 * n);
    file.read(reinterpret_cast<char *>(numbers.data()), numbers.size() * sizeof(double));
    Particles particles(n);
    for (int64_t i = 0; i < n; ++i) {
      particles[i].reset_PtYPhiM(numbers[3 * i], numbers[3 * i + 1], numbers[3 * i + 2], 0.0);
      particles[i].set_user_index(i);
    }
    crossings.push_back(particles);
  }
  return crossings;
}

using Job = std::function<Particles(const Particles &)>;

Particles softkiller(const Particles &particles) {
  Particles left;
  double threshold;
  fastjet::contrib::SoftKiller(reach, tile).apply(particles, left, threshold);
  return left;
}

// The ghosts are laid once, for all crossings.
template <typename Subtractor>
Job with_ghosts(std::shared_ptr<Subtractor> subtractor) {
  auto background = std::make_shared<fastjet::GridMedianBackgroundEstimator>(reach, tile);
  subtractor->set_distance_type(fastjet::contrib::ConstituentSubtractor::deltaR);
  subtractor->set_ghost_area(0.01);
  subtractor->set_max_eta(reach);
  subtractor->set_background_estimator(background.get());
  subtractor->initialize();
  return [=](const Particles &particles) {
    background->set_particles(particles);
    return subtractor->subtract_event(particles);
  };
}

Job job_of(const std::string &name) {
  if (name == "softkiller") return softkiller;
  if (name == "cs") {
    auto subtractor = std::make_shared<fastjet::contrib::ConstituentSubtractor>();
    subtractor->set_max_distance(0.25);
    subtractor->set_alpha(1);
    return with_ghosts(subtractor);
  }
  auto subtractor = std::make_shared<fastjet::contrib::IterativeConstituentSubtractor>();
  subtractor->set_parameters({0.2, 0.15}, {1, 1});
  subtractor->set_ghost_removal(true);
  return with_ghosts(subtractor);
}

int main(int, char **arguments) {
  const auto crossings = read(arguments[1]);
  std::string name;
  while (std::cin >> name) {
    const bool each = name == "left";
    if (each) std::cin >> name;
    const Job job = job_of(name);
    double seconds = 0;
    for (const auto &particles : crossings) {
      const auto start = std::clock();
      const auto left = job(particles);
      seconds += double(std::clock() - start) / CLOCKS_PER_SEC;
      if (!each) continue;
      std::vector<double> pt(particles.size(), 0.0);
      for (const auto &particle : left) pt[particle.user_index()] += particle.pt();
      for (const double value : pt) std::fprintf(stderr, "OUT %.17g\n", value);
    }
    if (!each) std::fprintf(stderr, "OUT %.9g\n", seconds);
    std::fflush(stderr);
  }
}
