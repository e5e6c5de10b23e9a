"use strict";
// The videos of one clip are played in step: the first one leads, the others follow its clock.
for (const clip of document.querySelectorAll(".clip")) {
  const videos = [...clip.querySelectorAll("video")], [leader, ...others] = videos;
  const button = clip.querySelector("button"), seek = clip.querySelector("input");
  const TOLERANCE = 0.04; // seconds: about one frame
  const toAll = (time) => { for (const video of videos) video.currentTime = time; };
  const follow = () => {
    for (const video of others) if (Math.abs(video.currentTime - leader.currentTime) > TOLERANCE) video.currentTime = leader.currentTime;
    if (leader.duration) seek.value = Math.round((1000 * leader.currentTime) / leader.duration);
    if (!leader.paused) requestAnimationFrame(follow);
  };
  clip.querySelector(".player").hidden = false;
  button.addEventListener("click", async () => {
    const starting = leader.paused;
    button.textContent = starting ? "Pause" : "Play";
    if (!starting) { for (const video of videos) video.pause(); toAll(leader.currentTime); return; }
    toAll(leader.currentTime);
    await Promise.all(videos.map((video) => video.play()));
    follow();
  });
  leader.addEventListener("ended", async () => {
    toAll(0);
    await Promise.all(videos.map((video) => video.play()));
    follow();
  });
  seek.addEventListener("input", () => toAll((seek.value / 1000) * (leader.duration || 0)));
}
