// Answers of fjcontrib's IterativeConstituentSubtractor for tests/reference/ics_survivors.npz.
//
// Input: the number of particles, then pt eta phi of each (those of classical_golden.npz with IsRecoPU = 0, taken as
// massless). Output on stderr, away from FastJet's banner: "OUT index px py pz E" of each survivor.
// Build with the headers and libraries inside the fastjet wheel (FJ is the folder of the Python package):
//   g++ -O2 -std=c++17 tools/ics_reference.cc -I$FJ/include -L$FJ/lib64 -lfastjetcontribfragile -lfastjettools
//       -lfastjetplugins -lfastjet -Wl,-rpath,$FJ/lib64 -o ics_reference

#include <cstdio>
#include <vector>

#include "fastjet/PseudoJet.hh"
#include "fastjet/contrib/IterativeConstituentSubtractor.hh"
#include "fastjet/tools/GridMedianBackgroundEstimator.hh"

int main() {
  int n;
  if (std::scanf("%d", &n) != 1) return 1;
  std::vector<fastjet::PseudoJet> particles;
  for (int i = 0; i < n; ++i) {
    double pt, eta, phi;
    if (std::scanf("%lf %lf %lf", &pt, &eta, &phi) != 3) return 1;
    fastjet::PseudoJet particle;
    particle.reset_PtYPhiM(pt, eta, phi, 0.0);
    particle.set_user_index(i);
    particles.push_back(particle);
  }
  fastjet::GridMedianBackgroundEstimator background(4.0, 0.5);
  fastjet::contrib::IterativeConstituentSubtractor subtractor;
  subtractor.set_distance_type(fastjet::contrib::ConstituentSubtractor::deltaR);
  subtractor.set_parameters({0.2, 0.15}, {1, 1});
  subtractor.set_ghost_removal(true);
  subtractor.set_ghost_area(0.01);
  subtractor.set_max_eta(4.0);
  subtractor.set_background_estimator(&background);
  subtractor.initialize();
  background.set_particles(particles);
  for (const auto &p : subtractor.subtract_event(particles))
    std::fprintf(stderr, "OUT %d %.12g %.12g %.12g %.12g\n", p.user_index(), p.px(), p.py(), p.pz(), p.e());
}
