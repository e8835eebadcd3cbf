// A muted video that follows the sound. Sound is the clock: it is never stretched or moved to match the video.
//
// The time of every frame that the browser shows is compared with the time of the sound at that moment. Small errors
// are corrected by playing the video a little faster or slower, large ones (a seek, a stall, a loop) by a seek.

const FRAME_LAG_S = 0.008; // a frame is shown at the first refresh after its time: on average half a refresh later
const SEEK_BEYOND_S = 0.15;
const DEAD_ZONE_S = 0.003;
const PULL = 2.5; // share of the error corrected per second
const MAX_PULL = 0.12;
const SMOOTHING = 0.25;

class VideoFollower {
  constructor(video, transport) {
    this.video = video;
    this.transport = transport;
    this.error = null; // smoothed: sound minus picture, in seconds
    this.frames = typeof video.requestVideoFrameCallback === "function";
    this.seekTakes = 0.05;
    video.muted = true;
    video.addEventListener("seeked", () => {
      if (this.seekBegan) this.seekTakes += 0.3 * ((performance.now() - this.seekBegan) / 1000 - this.seekTakes);
      this.seekTakes = Math.min(this.seekTakes, 0.5);
      this.seekBegan = 0;
      this.error = null;
    });
    video.addEventListener("loadedmetadata", () => this.follow());
    if (this.frames) {
      const each = (now, frame) => {
        this.compare(frame.mediaTime + FRAME_LAG_S, frame.expectedDisplayTime);
        video.requestVideoFrameCallback(each);
      };
      video.requestVideoFrameCallback(each);
    }
  }

  // Call when the transport has changed: started, stopped, moved.
  follow() {
    const {video, transport} = this;
    if (!video.currentSrc && !video.src) return;
    if (transport.playing) {
      const at = transport.playhead();
      if (Math.abs(video.currentTime - at) > SEEK_BEYOND_S) this.seek(at);
      if (video.paused && at < video.duration - 0.05) video.play().catch((error) => this.refused(error));
    } else {
      if (!video.paused) video.pause();
      video.playbackRate = 1;
      this.error = null;
      const at = this.clamp(transport.position);
      if (Math.abs(video.currentTime - at) > 0.001) video.currentTime = at;
    }
  }

  // Call once per animation frame: detects stalls and the end, and does the corrections if no frames are reported.
  tick() {
    const {video, transport} = this;
    if (!transport.playing || video.readyState < 2) return;
    const heard = transport.heardPlayhead();
    if (heard >= video.duration - 0.02) return;
    if (video.paused || video.ended) return this.follow();
    if (!this.frames || Math.abs(heard - video.currentTime) > 2 * SEEK_BEYOND_S) this.compare(video.currentTime, performance.now());
  }

  compare(shown, now) {
    const {video, transport} = this;
    if (!transport.playing || video.seeking || video.paused) return;
    const error = transport.heardPlayhead(now) - shown;
    if (Math.abs(error) > SEEK_BEYOND_S) return this.seek(transport.playhead() + this.seekTakes);
    this.error = this.error === null ? error : this.error + SMOOTHING * (error - this.error);
    const pull = Math.abs(this.error) < DEAD_ZONE_S ? 0 : PULL * this.error;
    const rate = 1 + Math.min(Math.max(pull, -MAX_PULL), MAX_PULL);
    // Setting the rate makes some browsers rebuild their buffers, so set it only if it changes enough.
    if (Math.abs(rate - video.playbackRate) > 0.004 || (pull === 0 && video.playbackRate !== 1)) video.playbackRate = rate;
  }

  seek(at) {
    if (this.seekBegan && performance.now() - this.seekBegan < 1000) return;
    this.seekBegan = performance.now();
    this.error = null;
    this.video.playbackRate = 1;
    this.video.currentTime = this.clamp(at);
  }

  clamp(at) {
    const end = this.video.duration;
    return Number.isFinite(end) ? Math.min(at, Math.max(0, end - 0.001)) : at;
  }

  refused(error) {
    // A pause right after play aborts play, which is no error; anything else is reported.
    if (error.name !== "AbortError") console.warn("the video does not play:", error.message);
  }
}
